"""Stores of a test's own that have what another store has: the very files, which cannot be changed from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from lab import store as stores
from lab.machines.template import KIND
from lab.store import Entry, Store, content_digest


def make_shelf(root: Path, source: Store, entries: Iterable[Entry]) -> Path:
    """Make a store at `root` with those entries of `source`, but for templates, and its archives' lists.

    Runs on it must be offline: the lists are those of `source`.
    """
    Store(root)
    (root / "state" / "apt").symlink_to(source.state("apt"))
    for entry in entries:
        if entry.kind != KIND:
            place = root / "entries" / entry.kind / entry.key
            place.mkdir(parents=True)
            shutil.copy(entry.files.parent / "entry.json", place)
            (place / "files").symlink_to(entry.files)
            # Else the first run would read every file, to see whether it is whole.
            stores._remember(place)
    return root


def templates(root: Path) -> list[Path]:
    """The templates in a store."""
    return sorted((root / "entries" / KIND).glob("*"))


def remove_templates(root: Path) -> None:
    """Let the next run make its templates anew."""
    for place in templates(root):
        shutil.rmtree(place)


def flaws(root: Path) -> list[str]:
    """What is wrong in a store that nobody uses: what is half made, and entries that are not as they were made."""
    found = [f"{path} is half made" for path in (root / "tmp").iterdir()]
    for place in (root / "entries").glob("*/*"):
        record = json.loads((place / "entry.json").read_bytes())
        if place.parent.name == KIND and content_digest(place / "files") != record["content"]:
            found.append(f"{place} is damaged")
        if stores.key_of(record["inputs"]) != place.name:
            found.append(f"{place} is not what its name says")
    return found
