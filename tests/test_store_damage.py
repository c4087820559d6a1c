"""What is damaged in the store is noticed; what is whole is not made again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.store import Store, key_of
from tests.support.filling import INPUTS, Filler, leftovers, truncate


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def remove(entry: Path) -> None:
    (entry / "files" / "file").unlink()


def add(entry: Path) -> None:
    (entry / "files" / "more").touch()


def same_size_and_time(entry: Path) -> None:
    file = entry / "files" / "file"
    before = file.stat()
    file.write_text("CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def empty_record(entry: Path) -> None:
    (entry / "entry.json").write_text("{}")


def torn_record(entry: Path) -> None:
    (entry / "entry.json").write_text('{"content": "12')


def record_of_another_type(entry: Path) -> None:
    (entry / "entry.json").write_text("[]")


def binary_record(entry: Path) -> None:
    (entry / "entry.json").write_bytes(b"\xff\xfe\x00")


def no_record(entry: Path) -> None:
    (entry / "entry.json").unlink()


def no_files(entry: Path) -> None:
    shutil.rmtree(entry / "files")


def only_its_folder(entry: Path) -> None:
    for path in entry.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def a_file_in_its_place(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.write_text("")


def a_folder_as_record(entry: Path) -> None:
    (entry / "entry.json").unlink()
    (entry / "entry.json").mkdir()


DAMAGES = [
    truncate,
    remove,
    add,
    same_size_and_time,
    empty_record,
    torn_record,
    record_of_another_type,
    binary_record,
    no_record,
    no_files,
    only_its_folder,
    a_file_in_its_place,
    a_folder_as_record,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_entry_is_noticed_and_made_again(store: Store, damage: Callable[[Path], None]) -> None:
    filler = Filler()
    entry = store.get("kind", INPUTS, filler)
    damage(entry.files.parent)
    again = store.get("kind", INPUTS, filler)
    assert filler.calls == 2
    assert (again.files / "file").read_text() == "content"
    assert [path.name for path in again.files.iterdir()] == ["file"]
    assert leftovers(store) == [again.files.parent]


def test_damage_is_told_to_the_user(tmp_path: Path) -> None:
    notices: list[str] = []
    store = Store(tmp_path / "store", notice=notices.append)
    truncate(store.get("kind", INPUTS, Filler()).files.parent)
    assert store.find("kind", INPUTS) is None
    assert notices == [f"kind {key_of(INPUTS)} in the store is damaged: making it again"]
    assert leftovers(store) == []


def test_a_link_that_points_elsewhere_is_damage(store: Store) -> None:
    def fill(folder: Path) -> dict[str, Any]:
        for name in ("one", "two"):
            (folder / name).mkdir()
        (folder / "link").symlink_to("one")
        return {}

    entry = store.get("kind", INPUTS, fill)
    (entry.files / "link").unlink()
    (entry.files / "link").symlink_to("two")
    assert store.find("kind", INPUTS) is None


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"stat": 1}'])
def test_a_damaged_note_of_when_it_was_seen_costs_a_reading_and_nothing_else(store: Store, content: str) -> None:
    filler = Filler()
    entry = store.get("kind", INPUTS, filler)
    seen = entry.files.parent / "seen.json"
    seen.write_text(content)
    assert store.get("kind", INPUTS, filler) == entry
    assert filler.calls == 1
    assert json.loads(seen.read_text())["stat"] != 1


def test_files_that_were_only_touched_are_still_whole(store: Store) -> None:
    filler = Filler()
    entry = store.get("kind", INPUTS, filler)
    os.utime(entry.files / "file", (1, 1))
    assert store.get("kind", INPUTS, filler) == entry
    assert filler.calls == 1
