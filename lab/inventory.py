"""What the store holds, told in words: a list to decide by what can go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.holding import last_used
from lab.store import Store

# Beside the kinds of entries: what is kept from run to run, and what killed runs left half made.
STATE = "state"
LEFTOVER = "leftover"

_LONGEST = 100  # characters of a description
_DAMAGED = "damaged: its entry.json cannot be read"


@dataclass(frozen=True)
class Item:
    """One thing in the store: `size` in bytes on the disk, `used` in seconds since the epoch."""

    kind: str
    key: str
    what: str
    size: int
    used: float

    @property
    def name(self) -> str:
        """As it is named on a command line."""
        return f"{self.kind}/{self.key}"


def entries(store: Store) -> list[Item]:
    """Every entry, least recently used first."""
    records = {place: _record(place / "entry.json") for place in (store.root / "entries").glob("*/*")}
    kernels = {place.name: describe("kernel", found, {}) for place, found in records.items() if _is(place, "kernel")}
    items = (
        _item(place, place.parent.name, describe(place.parent.name, found, kernels)) for place, found in records.items()
    )
    return sorted((item for item in items if item), key=lambda item: (item.used, item.name))


def others(store: Store) -> list[Item]:
    """What is in the store and no entry: the state's folders, and what is half made or half removed."""
    state = ((place, STATE, _STATES.get(place.name, "kept from run to run")) for place in _inside(store.root / STATE))
    made = ((place, LEFTOVER, "half made, now or by a run that was killed") for place in _inside(store.root / "tmp"))
    items = (_item(*found) for found in (*state, *made))
    return [item for item in items if item]


def describe(kind: str, record: Mapping[str, Any], kernels: Mapping[str, str]) -> str:
    """An entry in words, out of its entry.json; `kernels` (key -> words) are the kernels that others were made for."""
    if not record:
        return _DAMAGED
    inputs, made = _part(record, "inputs"), _part(record, "provenance")
    try:
        words = _known(kind, inputs, made, kernels)
    except (KeyError, TypeError, IndexError, AttributeError):
        # An entry of another version of the lab: what it tells of itself, as it is.
        told = {**inputs, **made}
        words = ", ".join(f"{name} {told[name]}" for name in sorted(told) if isinstance(told[name], str | int))
    plain = "".join(letter if letter.isprintable() else "?" for letter in words)
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def disk_size(folder: Path) -> int:
    """The bytes that a folder takes on the disk, a file with several names counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for path in (folder, *_below(folder)):
        with suppress(OSError):  # somebody is taking it away
            info = path.lstat()
            if (info.st_dev, info.st_ino) not in seen:
                total += info.st_blocks * 512  # in these units on every file system: stat(2)
            seen.add((info.st_dev, info.st_ino))
    return total


_STATES: Mapping[str, str] = {
    "apt": "lists of the archives' packages",
    "built": "which entry a request for a compiled kernel means",
    "kvm": "whether KVM works here",
    "linux": "sources and objects of kernels that were compiled here; may be removed",
    "linux-ccache": "the compilers' cache of those; may be removed",
    "logs": "logs of builds",
}


def _known(kind: str, inputs: Mapping[str, Any], made: Mapping[str, Any], kernels: Mapping[str, str]) -> str:
    """The words for the kinds that the lab makes; any of several errors for an entry that is made otherwise."""
    match kind:
        case "kernel":
            words = f"{made['package'].removeprefix('linux-image-')} ({made['version']}, {made['suite']})"
        case "headers":
            words = f"build tree of {inputs['packages'][0]['name'].removeprefix('linux-headers-')}"
        case "builder":
            words = f"{inputs['suite']}: {', '.join(inputs['packages'])}"
        case "image":
            words = f"guest/{inputs['arch']} ({inputs['suite']})"
        case "qemu":
            words = f"QEMU {made['version']}: {', '.join(inputs['packages'])}"
        case "linux-source" | "source":
            words = f"{made['package']} {made['version']} ({made['suite']})"
        case "driver":
            origin = f"{made['package']} {made['version']}" if "package" in made else made["folder"]
            words = f"{inputs['module'] or inputs['object']} of {origin} for {made['kernel']}"
        case "program":
            words = f"{inputs['name']} for {inputs['arch']}"
        case "oci":
            words = f"{made['registry']}/{made['repository']}@{made['digest'][:19]}"
        case "template":
            words = f"machine of {made['cell']}, saved when it was ready"
        case "initrd":
            words = f"for {kernels.get(inputs['kernel'], 'a kernel that is not here any more')}"
        case _:
            words = _known_debugging(kind, inputs, made)
    return words


def _known_debugging(kind: str, inputs: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    """The words for what debugging brings into the store."""
    match kind:
        case "gdb":
            return f"gdb: {', '.join(inputs['packages'])}"
        case "linux":
            return f"kernel {made['release']} for {inputs['arch']}, compiled here"
        case "kernel-debug":
            return f"debug information of {inputs['release']} ({inputs['version']})"
    raise KeyError(kind)


def _item(place: Path, kind: str, what: str) -> Item | None:
    try:
        return Item(kind, place.name, what, disk_size(place), last_used(place))
    except OSError:  # gone in the meantime
        return None


def _record(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _is(place: Path, kind: str) -> bool:
    return place.parent.name == kind


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent) / name for name in (*folders, *files))
