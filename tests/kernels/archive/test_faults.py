"""Archives that fail: silent, slow, half updated, lying, or short of what they list. All are real to apt."""

from __future__ import annotations

import lzma
import signal
import subprocess
import sys
import time

import pytest

from lab.errors import ArchiveError, RequestError
from lab.kernels.archive.provider import ArchiveChoice
from lab.store import Store
from tests.support.archive import Archive, signing_key
from tests.support.fixtures import DISTRIBUTIONS, SUITES, Bench
from tests.support.kernels import add_debian_kernel
from tests.support.server import Fault
from tests.support.wait import until

CLOUD = "6.12.117+deb13-cloud-amd64"
OLDER = "6.12.107+deb13-cloud-amd64"
IMAGES = "*/linux-image-*.deb"

# Fetches a kernel in a process of its own. Arguments: store, mirror, keyring.
FETCH = """
import sys
from dataclasses import replace
from pathlib import Path
from lab.arches import AMD64
from lab.archives.sources import Sources
from lab.archives.suites import DEBIAN
from lab.kernels.resolve import KernelSource
from lab.settings import Settings
from lab.store import Store

folder, mirror, keyring = sys.argv[1:]
settings = Settings(store=folder, mirror=mirror, security_mirror=mirror)
sources = Sources(settings, keyring=Path(keyring))
debian = replace(DEBIAN, suites=("trixie", "trixie-security"))
store = Store(settings.store)
store.sweep()
kernels = KernelSource(store, settings, print, sources=sources, distributions=(debian,))
print(kernels.resolve("6.12", AMD64).fetch().release)
"""


def fill(archive: Archive) -> None:
    add_debian_kernel(archive, "trixie", OLDER, "6.12.107-1")
    add_debian_kernel(archive, "trixie-security", CLOUD, "6.12.117-1")
    archive.publish(*SUITES)


def fetching(bench: Bench) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", FETCH, str(bench.store.root), bench.url, str(bench.key.keyring)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def spoil_index(archive: Archive, suite: str) -> None:
    """As a mirror is while it is updated: the new signed file, the old list."""
    archive.index(suite).write_bytes(lzma.compress(b"Package: old\n"))


def test_a_silent_archive_and_an_empty_store_is_one_clear_error(bench: Bench) -> None:
    with pytest.raises(ArchiveError, match="cannot be reached") as caught:
        bench.resolve("6.12", settings=bench.settings(url="http://127.0.0.1:9"))
    assert "LAB_MIRROR" in caught.value.hint


def test_a_silent_archive_and_a_filled_store_works_with_a_notice(bench: Bench) -> None:
    fill(bench.archive)
    bench.resolve("6.12").fetch()
    assert bench.notices == []
    bench.served.spoil("*", Fault.BROKEN)
    assert bench.resolve("6.12").fetch().release == CLOUD
    assert len(bench.notices) == len(SUITES)
    assert all("cannot be reached (500" in notice and "lists of" in notice for notice in bench.notices)


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("InRelease", Fault.SILENT),
        ("InRelease", Fault.BROKEN),
        ("Packages.xz", Fault.STALLED),
        ("Packages.xz", Fault.TRUNCATED),
    ],
)
def test_a_suite_that_fails_is_left_out_with_a_notice_and_in_bounded_time(
    bench: Bench, fault: Fault, file: str
) -> None:
    fill(bench.archive)
    bench.served.spoil(f"*/trixie-security/*{file}", fault)
    began = time.monotonic()
    assert bench.resolve("6.12").release == OLDER
    assert time.monotonic() - began < 30  # with apt's time limit at a second
    assert len(bench.notices) == 1
    assert "the archive of trixie-security at" in bench.notices[0]
    assert "cannot be reached" in bench.notices[0]


def test_a_suite_that_the_mirror_lacks_is_a_notice(bench: Bench) -> None:
    add_debian_kernel(bench.archive, "trixie", OLDER, "6.12.107-1")
    bench.archive.publish("trixie")
    assert bench.resolve("6.12").release == OLDER
    assert len(bench.notices) == 1
    assert "trixie-security at" in bench.notices[0]
    assert "has no such suite" in bench.notices[0]


def test_a_half_updated_suite_is_left_out_with_a_notice(bench: Bench) -> None:
    fill(bench.archive)
    spoil_index(bench.archive, "trixie-security")
    assert bench.resolve("6.12").release == OLDER
    assert len(bench.notices) == 1
    assert "trixie-security" in bench.notices[0]
    assert "half updated (File has unexpected size" in bench.notices[0]


def test_an_index_of_the_right_size_and_other_content_is_left_out_too(bench: Bench) -> None:
    fill(bench.archive)
    bench.served.spoil("*/trixie-security/*Packages.xz", Fault.WRONG)
    assert bench.resolve("6.12").release == OLDER
    assert "half updated (Hash Sum mismatch)" in bench.notices[0]


def test_a_half_updated_suite_keeps_what_it_listed_before(bench: Bench) -> None:
    fill(bench.archive)
    bench.resolve("6.12")
    add_debian_kernel(bench.archive, "trixie-security", "6.12.118+deb13-cloud-amd64", "6.12.118-1")
    bench.archive.publish("trixie-security")
    spoil_index(bench.archive, "trixie-security")
    assert bench.resolve("6.12").release == CLOUD
    assert "half updated" in bench.notices[0]
    assert "lists of" in bench.notices[0]


@pytest.mark.parametrize("request_", ["6.12.117", "6.1", "6.12-rt", "debian:trixie-security/6.12"])
def test_what_is_not_found_may_be_in_the_suite_that_could_not_be_read(bench: Bench, request_: str) -> None:
    fill(bench.archive)
    bench.ubuntu.publish(*DISTRIBUTIONS[1].suites)
    spoil_index(bench.archive, "trixie-security")
    with pytest.raises(ArchiveError) as caught:
        bench.resolve(request_)
    assert "has no " in caught.value.what
    assert "trixie-security" in caught.value.what
    assert "half updated" in caught.value.what
    assert caught.value.hint


def test_what_is_asked_of_a_suite_that_could_be_read_is_plainly_not_there(bench: Bench) -> None:
    fill(bench.archive)
    spoil_index(bench.archive, "trixie-security")
    with pytest.raises(RequestError, match=r"trixie has no kernel 6\.12\.117"):
        bench.resolve("debian:trixie/6.12.117")


def test_a_wrong_signature_is_refused_with_old_lists_or_without(bench: Bench) -> None:
    fill(bench.archive)
    with signing_key() as other:
        bench.archive.publish("trixie-security", key=other)
        with pytest.raises(ArchiveError, match="trixie-security was refused"):
            bench.resolve("6.12")
        bench.archive.publish(*SUITES)
        bench.resolve("6.12")
        bench.archive.publish("trixie-security", key=other)
        with pytest.raises(ArchiveError, match="trixie-security was refused"):
            bench.resolve("6.12")


def test_a_wrong_signature_is_refused_even_when_the_index_is_wrong_too(bench: Bench) -> None:
    fill(bench.archive)
    with signing_key() as other:
        bench.archive.publish("trixie-security", key=other)
    spoil_index(bench.archive, "trixie-security")
    with pytest.raises(ArchiveError, match="trixie-security was refused"):
        bench.resolve("6.12")


def test_a_suite_that_lost_its_signature_is_refused(bench: Bench) -> None:
    fill(bench.archive)
    bench.resolve("6.12")
    signed = bench.archive.root / "dists" / "trixie" / "InRelease"
    text = signed.read_text().split("\n\n", 1)[1].split("-----BEGIN PGP SIGNATURE")[0]
    signed.unlink()
    signed.with_name("Release").write_text(text.replace("Suite: trixie", "Suite: trixie\nLabel: changed"))
    with pytest.raises(ArchiveError, match="trixie was refused"):
        bench.resolve("6.12")


def test_a_package_that_is_not_the_listed_one_is_refused(bench: Bench) -> None:
    fill(bench.archive)
    choice = bench.resolve("6.12")
    bench.served.spoil(IMAGES, Fault.WRONG)
    with pytest.raises(ArchiveError, match="was refused: it is not the file that trixie-security lists"):
        choice.fetch()
    assert choice.stored() is None
    assert_clean(bench.store)


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.BROKEN, Fault.STALLED])
def test_a_download_that_fails_once_is_repeated(bench: Bench, fault: Fault) -> None:
    fill(bench.archive)
    choice = bench.resolve("6.12")
    bench.served.spoil(IMAGES, fault, times=1)
    assert choice.fetch().image.read_text() == f"image of {CLOUD}\n"
    assert bench.packages_asked() == [f"linux-image-{CLOUD}_6.12.117-1_amd64.deb"] * 2


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.STALLED])
def test_a_download_that_always_fails_is_one_clear_error(bench: Bench, fault: Fault) -> None:
    fill(bench.archive)
    choice = bench.resolve("6.12")
    bench.served.spoil(IMAGES, fault)
    with pytest.raises(ArchiveError, match="cannot be reached"):
        choice.fetch()
    assert choice.stored() is None
    assert_clean(bench.store)
    bench.served.mend()
    assert choice.fetch().release == CLOUD


def test_a_kernel_whose_file_is_gone_gives_way_to_the_next_one_with_a_notice_that_names_both(bench: Bench) -> None:
    fill(bench.archive)
    bench.served.spoil(f"*/linux-image-{CLOUD}_*", Fault.GONE)
    kernel = bench.resolve("6.12").fetch()
    assert (kernel.release, kernel.exact) == (OLDER, "debian/6.12.107-cloud")
    assert len(bench.notices) == 1
    assert f"trixie-security lists {CLOUD} (6.12.117-1) and does not have its files" in bench.notices[0]
    assert f"taking {OLDER} (6.12.107-1, trixie)" in bench.notices[0]


def test_several_kernels_whose_files_are_gone_are_one_notice(bench: Bench) -> None:
    for patch in (118, 119):
        release = f"6.12.{patch}+deb13-cloud-amd64"
        add_debian_kernel(bench.archive, "trixie-security", release, f"6.12.{patch}-1")
    fill(bench.archive)
    bench.served.spoil("*/linux-image-6.12.11[79]*", Fault.GONE)
    bench.served.spoil("*/linux-image-6.12.118*", Fault.GONE, times=1)
    settings = bench.settings(catalog_hours=1)
    for _ in range(2):
        bench.notices.clear()
        assert bench.resolve("6.12", settings=settings).fetch().release == OLDER
        assert len(bench.notices) == 1
        assert "6.12.119-1" in bench.notices[0]
        assert "nor those of 2 older ones" in bench.notices[0]


def test_what_was_gone_is_not_asked_for_again_until_the_archive_says_something_new(bench: Bench) -> None:
    fill(bench.archive)
    bench.served.spoil(f"*/linux-image-{CLOUD}_*", Fault.GONE)
    settings = bench.settings(catalog_hours=1)
    bench.resolve("6.12", settings=settings).fetch()
    bench.notices.clear()
    bench.served.asked.clear()
    choice = bench.resolve("6.12", settings=settings)
    assert choice.release == OLDER
    assert len(bench.notices) == 1
    assert choice.fetch().release == OLDER
    assert bench.served.asked == []
    bench.served.mend()
    assert bench.resolve("6.12").fetch().release == CLOUD


@pytest.mark.parametrize("request_", ["6.12.117", "6.12.117+deb13-cloud-amd64"])
def test_an_exact_request_for_a_file_that_is_gone_is_an_error(bench: Bench, request_: str) -> None:
    fill(bench.archive)
    bench.served.spoil(f"*/linux-image-{CLOUD}_*", Fault.GONE)
    choice = bench.resolve(request_)
    with pytest.raises(ArchiveError, match="does not have its file") as caught:
        choice.fetch()
    assert "cannot be reached" not in str(caught.value)
    assert "another mirror" in caught.value.hint


def test_a_series_all_of_whose_files_are_gone_is_an_error(bench: Bench) -> None:
    fill(bench.archive)
    bench.served.spoil(IMAGES, Fault.GONE)
    with pytest.raises(ArchiveError, match=f"lists linux-image-.{OLDER[1:9]}.* and does not have its file"):
        bench.resolve("6.12").fetch()


def test_two_processes_that_want_the_same_kernel_download_it_once(bench: Bench) -> None:
    fill(bench.archive)
    with fetching(bench) as first, fetching(bench) as second:
        outputs = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert outputs == [f"{CLOUD}\n", f"{CLOUD}\n"]
    assert bench.packages_asked() == [f"linux-image-{CLOUD}_6.12.117-1_amd64.deb"]


@pytest.mark.parametrize("pattern", ["*/trixie/*Packages.xz", IMAGES])
def test_after_kill_9_in_the_middle_of_a_fetch_the_next_run_succeeds(bench: Bench, pattern: str) -> None:
    fill(bench.archive)
    bench.served.spoil(pattern, Fault.STALLED)
    with fetching(bench) as process:
        until(lambda: bench.served.count(pattern) > 0, "the request", 60)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    bench.served.mend()
    with fetching(bench) as process:
        assert process.communicate(timeout=120)[0] == f"{CLOUD}\n"
    assert_clean(bench.store)
    choice = bench.resolve("6.12")
    assert isinstance(choice, ArchiveChoice)
    assert choice.fetch().image.read_text() == f"image of {CLOUD}\n"
    assert bench.notices == []


def assert_clean(store: Store) -> None:
    """Nothing half made lies in the store."""
    assert list((store.root / "tmp").iterdir()) == []
    assert list(store.root.rglob(".download*")) == []
