"""A root is made of what its recipe says, or of the very packages that lab.lock names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab import lockfile
from lab.arches import AMD64
from lab.archives.bootstrap import Exact, Extracted
from lab.images import roots
from lab.images.roots import RootWish, get_root
from lab.lockfile import Lock, LockedRoot
from lab.settings import Settings
from lab.store import Entry, Store

WISH = RootWish("image", "guest", "forky", ("dash",), AMD64, {"layout": 1}, "making it")
NEWEST = {"dash": Exact("0.6-1", "a" * 64), "libc6": Exact("2.43-1", "b" * 64)}
OLDER = {"dash": Exact("0.5-1", "c" * 64), "libc6": Exact("2.42-1", "d" * 64)}


class Archive:
    """Stands for mmdebstrap: gives what is pinned, else the newest; counts."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Exact]] = []

    def __call__(self, _: object, folder: Path, *, pins: Mapping[str, Exact], **__: object) -> Extracted:
        self.asked.append(pins)
        done = Extracted(pins or NEWEST)
        (folder / "packages").write_text(str(dict(done)))
        return done


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    archive = Archive()
    monkeypatch.setattr(roots, "extract_root", archive)
    return archive


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=tmp_path / "store", mirror="http://127.0.0.1:9/", lock_file=tmp_path / "lab.lock")


def got(settings: Settings) -> Entry:
    return get_root(WISH, Store(settings.store), settings, lambda _: None, lambda _: {"more": 1})


def lock(settings: Settings, packages: Mapping[str, Exact], wanted: tuple[str, ...] = ("dash",)) -> None:
    files: dict[str, Any] = {
        name: {"version": exact.version, "sha256": exact.sha256} for name, exact in packages.items()
    }
    root = LockedRoot.model_validate(
        {"kind": "image", "name": "guest", "arch": "amd64", "suite": "forky", "wanted": wanted, "packages": files}
    )
    lockfile.write(settings.lock_file, Lock(roots=(root,)))


def test_without_a_lock_it_is_the_newest_once(archive: Archive, settings: Settings) -> None:
    entry = got(settings)
    assert entry.provenance["packages"] == {"dash": "0.6-1", "libc6": "2.43-1"}
    assert entry.provenance["more"] == 1
    assert got(settings).key == entry.key
    assert len(archive.asked) == 1


def test_what_is_in_the_store_is_taken_when_it_is_what_is_locked(archive: Archive, settings: Settings) -> None:
    entry = got(settings)
    lock(settings, NEWEST)
    assert got(settings).key == entry.key
    assert len(archive.asked) == 1


def test_what_is_locked_is_made_of_just_that_beside_what_is_there(archive: Archive, settings: Settings) -> None:
    entry = got(settings)
    lock(settings, OLDER)
    locked = got(settings)
    assert locked.key != entry.key
    assert locked.provenance["packages"] == {"dash": "0.5-1", "libc6": "2.42-1"}
    assert archive.asked == [{}, OLDER]
    settings.lock_file.unlink()
    assert got(settings).key == entry.key


def test_a_lock_of_another_recipe_locks_nothing(archive: Archive, settings: Settings) -> None:
    lock(settings, OLDER, wanted=("dash", "sysdig"))
    got(settings)
    assert archive.asked == [{}]


def test_an_entry_says_what_a_lock_shall_name(archive: Archive, settings: Settings) -> None:
    record = LockedRoot.model_validate(got(settings).provenance["lock"], strict=False)
    assert record.pins() == NEWEST
    assert len(archive.asked) == 1
    assert re.fullmatch("image", record.kind)
