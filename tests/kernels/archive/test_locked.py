"""What lab.lock names is what is taken: from the store, or from the archive without reading any list."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import lockfile
from lab.arches import AMD64, ARM64
from lab.errors import ArchiveError, RequestError
from lab.kernels.archive.locking import record_of
from lab.kernels.kernel import HeaderPackages, Kernel
from lab.lockfile import Lock
from lab.settings import Settings
from lab.store import Store
from tests.support.fixtures import SUITES, Bench
from tests.support.kernels import add_debian_kernel

OLD, NEW = "6.12.107-amd64", "6.12.117-amd64"


@pytest.fixture
def locked(bench: Bench) -> Settings:
    """Settings with a lock of 6.12, of which the archive has a newer version since."""
    add_debian_kernel(bench.archive, "trixie", OLD, "6.12.107-1")
    bench.archive.publish(*SUITES)
    choice = bench.resolve("6.12")
    signed_by = str(choice.fetch().provenance["signed_by"])
    kbuild = choice.entry.packages[0]  # any package that there is
    path = bench.folder / "lab.lock"
    lockfile.write(path, Lock(kernels=(record_of(choice.entry, "6.12", signed_by, kbuild),)))
    add_debian_kernel(bench.archive, "trixie", NEW, "6.12.117-1")
    bench.archive.publish(*SUITES)
    assert bench.resolve("6.12").release == NEW
    return bench.settings().model_copy(update={"lock_file": path})


def fetch_anew(bench: Bench, settings: Settings) -> Kernel:
    """With an empty store."""
    bench.store = Store(bench.folder / "another-store", notice=bench.notices.append)
    return bench.resolve("6.12", settings=settings.model_copy(update={"store": bench.store.root})).fetch()


def test_the_store_is_enough_for_what_is_locked(bench: Bench, locked: Settings) -> None:
    asked = len(bench.served.asked)
    kernel = bench.resolve("6.12", settings=locked).fetch()
    assert (kernel.release, kernel.exact) == (OLD, "debian/6.12.107-full")
    assert bench.served.asked[asked:] == []


def test_an_empty_store_is_filled_without_any_list(bench: Bench, locked: Settings) -> None:
    asked = len(bench.served.asked)
    kernel = fetch_anew(bench, locked)
    assert (kernel.release, kernel.provenance["signed_by"]) == (OLD, bench.key.fingerprint)
    assert isinstance(kernel.headers, HeaderPackages)
    assert kernel.headers.kbuild_package is not None
    assert [path.rpartition("/")[2] for path in bench.served.asked[asked:]] == [
        f"linux-image-{OLD}_6.12.107-1_amd64.deb"
    ]


def test_what_the_archive_has_no_more_is_named(bench: Bench, locked: Settings) -> None:
    next(bench.archive.root.rglob(f"linux-image-{OLD}_*.deb")).unlink()
    assert bench.resolve("6.12", settings=locked).fetch().release == OLD, "it is in the store"
    with pytest.raises(ArchiveError, match=rf"no more what lab\.lock names: linux-image-{OLD} 6\.12\.107-1"):
        fetch_anew(bench, locked)


def test_other_bits_under_the_same_name_are_refused(bench: Bench, locked: Settings) -> None:
    deb = next(bench.archive.root.rglob(f"linux-image-{OLD}_*.deb"))
    deb.write_bytes(deb.read_bytes()[:-1] + b"x")
    with pytest.raises(ArchiveError, match="refused"):
        fetch_anew(bench, locked)


def test_what_is_not_locked_is_told_and_taken_from_the_archive(bench: Bench, locked: Settings) -> None:
    assert bench.resolve("6.12.117", settings=locked).release == NEW
    assert [notice for notice in bench.notices if "lab.lock names no 6.12.117 for amd64" in notice]
    with pytest.raises((ArchiveError, RequestError)):
        bench.resolve("6.12", ARM64, settings=locked)


def test_a_lock_that_cannot_be_read_is_named(bench: Bench, locked: Settings) -> None:
    Path(locked.lock_file).write_text("{")
    with pytest.raises(RequestError, match=r"lab\.lock"):
        bench.resolve("6.12", AMD64, settings=locked)
