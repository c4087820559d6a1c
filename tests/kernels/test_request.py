from __future__ import annotations

import pytest

from lab.errors import RequestError
from lab.kernels.request import Request, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6.12", Request("6.12", "6.12", None, "", "")),
        ("6.12.107", Request("6.12.107", "6.12", 107, "", "")),
        ("6.12-rt", Request("6.12-rt", "6.12", None, "rt", "")),
        ("6.12.1-16k", Request("6.12.1-16k", "6.12", 1, "16k", "")),
        (
            "debian:trixie-backports/7.2-full",
            Request("debian-trixie-backports-7.2-full", "7.2", None, "full", "trixie-backports"),
        ),
        ("debian/5.10", Request("debian-5.10", "5.10", None, "", "")),
    ],
)
def test_requests_are_taken_apart(text: str, expected: Request) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "6", "v6.12", "6.12.", "6.12-", "6.12.1.2", "ubuntu/5.15", "debian:nope/6.12", "6.12 "]
)
def test_what_cannot_be_read_says_how_one_is_written(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert caught.value.hint
