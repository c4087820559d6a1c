"""What apt's words mean. They are those of real failures (apt 2.6), with other names."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.archives.failures import ExpiredError, GoneError, UnavailableError, archive_error, package_error
from lab.archives.stanzas import Package
from lab.archives.suites import Suite
from lab.errors import ArchiveError
from lab.process import DeadlineError, ProgramFailedError

URI = "http://a.example"
INDEX = f"{URI}/dists/sid/main/binary-amd64/Packages.xz"
REFUSED = f"E: Failed to fetch {URI}/dists/sid/InRelease  503  Service Unavailable [IP: 192.0.2.1 80]\n"
NOT_SIGNED = f"E: The repository '{URI} sid InRelease' is not signed.\n"
SYNC = f"E: Failed to fetch {INDEX}  File has unexpected size (12 != 34). Mirror sync in progress? [IP: 192.0.2.1 80]\n"
WRONG_DEB = f"E: Failed to fetch {URI}/pool/a.deb  Hash Sum mismatch\n"
NO_KEY = f"W: GPG error: {URI} sid InRelease: NO_PUBKEY 0123\n"
PACKAGE = Package("linux-image-a", "1-1", "amd64", "0" * 64, 1, "pool/a.deb", "", "sid")
SUITE = Suite("sid", URI, Path("/keyring"))


def said(output: str, name: str = "sid") -> ArchiveError:
    return archive_error(ProgramFailedError("apt-get failed", output), name, URI)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (f"W: Failed to fetch {URI}/dists/sid/InRelease  Could not connect to a.example:80\n", "Could not connect"),
        (f"E: Failed to fetch {URI}/dists/sid/InRelease  Could not resolve 'a.example'\n", "(Could not resolve 'a.ex"),
        (f"E: Failed to fetch {URI}/dists/sid/InRelease  Undetermined Error [IP: 192.0.2.1 80]\n", "(Undetermined"),
        (REFUSED + NOT_SIGNED, "(503  Service Unavailable)"),
        (f"E: The repository '{URI} sid Release' does not have a Release file.\n", "has no such suite"),
        (SYNC, "half updated (File has unexpected size (12 != 34))"),
        (SYNC.replace(INDEX, f"{URI}/dists/sid/main/by-hash/SHA256/00"), "half updated"),
        (f"E: Failed to fetch {INDEX}  Hash Sum mismatch\n", "half updated"),
    ],
)  # fmt: skip
def test_the_lab_may_go_on_without_an_archive_that_is_silent_or_half_updated(output: str, words: str) -> None:
    error = said(output)
    assert isinstance(error, UnavailableError)
    assert not isinstance(error, ExpiredError)
    assert words in error.what
    assert error.hint


def test_an_archive_that_is_out_of_date_is_told_from_one_that_is_silent() -> None:
    error = said(f"E: Release file for {URI}/dists/sid/InRelease is expired\n")
    assert isinstance(error, ExpiredError)
    assert "LAB_ALLOW_EXPIRED" in error.hint


@pytest.mark.parametrize(
    "output",
    [
        f"Ign:1 {URI} sid InRelease\n  404  Not Found [IP: 192.0.2.1 80]\n" + NOT_SIGNED,
        NO_KEY + "W: Could not connect to b.example:80\n",
        NO_KEY + SYNC,
        NOT_SIGNED + f"E: Release file for {URI}/dists/sid/InRelease is expired\n",
        WRONG_DEB,
        SYNC + WRONG_DEB,
        "E: something nobody has seen yet\n",
        "",
    ],
)
def test_an_archive_that_may_lie_is_refused(output: str) -> None:
    error = said(output)
    assert not isinstance(error, UnavailableError)
    assert "was refused" in error.what


def test_an_archive_that_is_slower_than_the_deadline_is_silent() -> None:
    error = archive_error(DeadlineError("no answer within 300 s"), "sid", URI)
    assert isinstance(error, UnavailableError)
    assert "(no answer within 300 s)" in error.what


@pytest.mark.parametrize(("suite", "setting"), [("sid", "LAB_MIRROR"), ("jammy-updates", "LAB_UBUNTU_MIRROR")])
def test_the_hint_names_the_settings_of_the_distribution(suite: str, setting: str) -> None:
    assert setting in said("E: Could not connect to a.example:80\n", suite).hint


@pytest.mark.parametrize("status", ["404  Not Found", "410  Gone"])
def test_a_package_whose_file_is_gone_is_told_from_an_archive_that_is_silent(status: str) -> None:
    output = f"E: Failed to fetch {URI}/pool/a.deb  {status} [IP: 192.0.2.1 80]\nE: Download Failed\n"
    error = package_error(ProgramFailedError("apt-helper failed", output), PACKAGE, SUITE)
    assert isinstance(error, GoneError)
    assert error.what == "sid lists linux-image-a 1-1 and does not have its file"


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        ("500  Internal Server Error", UnavailableError, "cannot be reached (500"),
        ("403  Forbidden", UnavailableError, "cannot be reached (403"),
        ("Hash Sum mismatch", ArchiveError, "was refused"),
    ],
)
def test_a_package_that_cannot_be_had_says_why(reason: str, kind: type[ArchiveError], words: str) -> None:
    output = f"E: Failed to fetch {URI}/pool/a.deb  {reason} [IP: 192.0.2.1 80]\nE: Download Failed\n"
    error = package_error(ProgramFailedError("apt-helper failed", output), PACKAGE, SUITE)
    assert type(error) is kind
    assert words in error.what
