"""What the lab's actor prints is a guest's word: read strictly."""

from __future__ import annotations

import pytest

from lab.errors import LabError, RequestError
from lab.races.race import told
from lab.races.subjects import subject


def test_what_the_actor_prints_is_read() -> None:
    said = b'{"call": "openat", "pid": 7, "result": 3, "acted": "asked"}\n'
    assert told(said) == {"pid": 7, "result": 3, "acted": "asked"}


@pytest.mark.parametrize(
    "printed",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"pid": "7", "result": 3, "acted": "asked"}', b'{"pid": 7, "result": 3}'],
)
def test_what_it_does_not_print_is_an_error(printed: bytes) -> None:
    with pytest.raises(LabError, match="lab-race printed"):
        told(printed)


def test_a_call_that_nobody_races_is_refused_with_those_there_are() -> None:
    with pytest.raises(RequestError) as caught:
        subject("openat3")
    assert "openat2" in caught.value.hint
