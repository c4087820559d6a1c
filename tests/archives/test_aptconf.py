from __future__ import annotations

import pytest

from lab.archives.aptconf import UnavailableError, archive_error, is_unreachable
from lab.process import ProgramFailedError

REFUSED = "E: Failed to fetch http://a.example/dists/sid/InRelease  503  Service Unavailable [IP: 192.0.2.1 80]\n"
NOT_SIGNED = "E: The repository 'http://a.example sid InRelease' is not signed.\n"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("W: Failed to fetch http://a.example/dists/sid/InRelease  Could not connect to a.example:80\n", True),
        ("E: The repository 'http://a.example sid Release' does not have a Release file.\n", True),
        (REFUSED + NOT_SIGNED, True),
        ("Ign:1 http://a.example sid InRelease\n  404  Not Found [IP: 192.0.2.1 80]\n" + NOT_SIGNED, False),
        ("W: GPG error: http://a.example sid InRelease: NO_PUBKEY 0123\nW: Could not connect to b.example:80\n", False),
        ("E: Failed to fetch http://a.example/Packages.xz  Hash Sum mismatch\n", False),
        ("E: Release file for http://a.example/dists/sid/InRelease is expired\n", False),
        ("E: something nobody has seen yet\n", False),
    ],
)
def test_only_a_silent_archive_counts_as_unreachable(output: str, expected: bool) -> None:
    error = ProgramFailedError("apt-get failed", output)
    assert is_unreachable(error) is expected
    assert isinstance(archive_error(error, "sid", "http://a.example"), UnavailableError) is (
        expected or "expired" in output
    )
