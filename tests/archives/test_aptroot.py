"""One suite of an archive as the lab's apt sees it: offline, and when it has a package no more."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from lab import lockfile
from lab.arches import AMD64
from lab.archives.aptroot import AptRoot
from lab.archives.failures import GoneError, UnavailableError
from lab.errors import ArchiveError
from lab.lockfile import LockedPackage
from tests.support.fixtures import SUITES, Bench


def root(bench: Bench, *, offline: bool = False, allow_expired: bool = False) -> AptRoot:
    settings = bench.settings(allow_expired=allow_expired).model_copy(update={"offline": offline})
    suite = bench.sources(settings).suite("trixie")
    return AptRoot(suite, AMD64, bench.store, settings, bench.notices.append)


def fill(bench: Bench, *names: str) -> None:
    for name in names:
        bench.archive.add("trixie", name, "1.0-1", {f"usr/{name}": name})
    bench.archive.publish(*SUITES)


def test_offline_old_lists_are_read_and_the_archive_is_not_asked(bench: Bench) -> None:
    fill(bench, "one")
    root(bench).refresh()
    stamp = next(bench.store.root.glob("state/apt/*/updated"))
    os.utime(stamp, (1, 1))
    asked = len(bench.served.asked)
    assert asked > 0
    offline = root(bench, offline=True)
    assert offline.is_fresh()
    offline.refresh()
    assert [package.name for package in offline.packages("one")] == ["one"]
    assert len(bench.served.asked) == asked
    assert bench.notices == []
    assert not root(bench).is_fresh()


def test_offline_lists_past_their_date_are_taken_with_their_warning(bench: Bench) -> None:
    fill(bench, "one")
    bench.archive.publish("trixie", valid_for=timedelta(days=-3))
    root(bench, allow_expired=True).refresh()
    bench.notices.clear()
    root(bench, offline=True).refresh()
    assert len(bench.notices) == 1
    assert "Valid-Until" in bench.notices[0]


def test_offline_a_list_that_is_not_there_is_one_sentence(bench: Bench) -> None:
    fill(bench, "one")
    offline = root(bench, offline=True)
    assert not offline.is_fresh()
    for ask in (offline.refresh, offline.packages):
        with pytest.raises(UnavailableError) as caught:
            ask()
        assert caught.value.what == "offline: the list of trixie for amd64 is not in the store"
        assert "without --offline" in caught.value.hint
    assert bench.served.asked == []


def test_offline_a_package_that_is_not_in_the_store_is_one_sentence(bench: Bench) -> None:
    fill(bench, "one")
    root(bench).refresh()
    offline = root(bench, offline=True)
    asked = len(bench.served.asked)
    with pytest.raises(ArchiveError) as caught:
        offline.download(offline.packages("one")[0], bench.folder)
    assert caught.value.what == "offline: one 1.0-1 is not in the store"
    assert len(bench.served.asked) == asked


def test_a_package_that_the_archive_has_no_more_is_gone_and_not_silent(bench: Bench) -> None:
    fill(bench, "one")
    archive = root(bench)
    archive.refresh()
    package = archive.packages("one")[0]
    (bench.archive.root / package.filename).unlink()
    with pytest.raises(GoneError, match=r"trixie lists one 1\.0-1 and does not have its file"):
        archive.download(package, bench.folder)


def test_an_archive_that_is_silent_is_not_called_gone(bench: Bench) -> None:
    fill(bench, "one")
    archive = root(bench)
    archive.refresh()
    package = archive.packages("one")[0]
    settings = bench.settings(url="http://127.0.0.1:9")
    silent = AptRoot(bench.sources(settings).suite("trixie"), AMD64, bench.store, settings, bench.notices.append)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        silent.download(package, bench.folder)


def test_locked_packages_are_fetched_without_lists_and_checked_by_the_locks_digest(bench: Bench) -> None:
    fill(bench, "one", "two")
    online = root(bench)
    online.refresh()
    locked = [LockedPackage.of(package) for package in (*online.packages("one"), *online.packages("two"))]
    fresh = bench.settings()
    suite = bench.sources(fresh).suite("trixie")
    for path in bench.store.root.glob("state/apt/*/lists/*"):
        path.unlink() if path.is_file() else None
    archive = AptRoot(suite, AMD64, bench.store, fresh, bench.notices.append)
    files = lockfile.fetch(locked, lambda package: archive.download(package, bench.folder))
    assert [file.name for file in files] == ["one_1.0-1_amd64.deb", "two_1.0-1_amd64.deb"]
    for name in ("one", "two"):
        (bench.archive.root / "pool" / f"{name}_1.0-1_amd64.deb").write_bytes(b"other")
    with pytest.raises(ArchiveError, match="refused"):
        lockfile.fetch(locked, lambda package: archive.download(package, bench.folder / "archive"))


def test_locked_packages_that_are_gone_are_all_named(bench: Bench) -> None:
    fill(bench, "one", "two", "three")
    archive = root(bench)
    archive.refresh()
    locked = [LockedPackage.of(package) for name in ("one", "three", "two") for package in archive.packages(name)]
    for name in ("one", "two"):
        (bench.archive.root / "pool" / f"{name}_1.0-1_amd64.deb").unlink()
    with pytest.raises(ArchiveError, match=r"lab\.lock names: one 1\.0-1, two 1\.0-1\n"):
        lockfile.fetch(locked, lambda package: archive.download(package, bench.folder))
