"""Which faults a manifest's gaps excuse, and what they say that is not so."""

from __future__ import annotations

from typing import Any

import pytest

from lab.calls.judge import Fault
from lab.calls.known import gap_of, told, untrue
from lab.drivers.gaps import Gap

FAULTS = [Fault("32-bit", "missing", "no event of it came"), Fault("NULL", "name", "name was ..., reported as ...")]
ALL = {"success", "32-bit", "NULL"}


def gap(**fields: Any) -> Gap:
    return Gap(scenario="test_a_call_is_reported", why="it never did", **fields)


@pytest.mark.parametrize(
    ("fields", "excused"),
    [
        ({"variant": "32-bit"}, [True, False]),
        ({"variant": ["32-bit", "NULL"]}, [True, True]),
        ({"param": "name"}, [False, True]),
        ({"variant": "32-bit", "param": "name"}, [False, False]),
        ({"variant": "NULL", "param": "name"}, [False, True]),
    ],
)
def test_a_gap_excuses_the_variants_and_parameters_that_it_names(fields: dict[str, Any], excused: list[bool]) -> None:
    assert [gap_of(fault, [gap(**fields)]) is not None for fault in FAULTS] == excused


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"variant": "32-bit"}, 0),
        ({"variant": ["32-bit", "success"]}, 1),
        ({"param": "name"}, 0),
        ({"param": ["name", "flags"]}, 1),
        ({"variant": "success", "param": "name"}, 2),
        ({"variant": "not tried here"}, 0),
        ({"variant": "not tried here", "param": "name"}, 0),
    ],
)
def test_what_a_gap_says_and_nobody_saw_is_told(fields: dict[str, Any], wrong: int) -> None:
    assert len(untrue([gap(**fields)], FAULTS, ALL)) == wrong


def test_a_message_names_all_variants_and_parameters_in_its_first_line() -> None:
    first, *lines = told("open", FAULTS).splitlines()
    assert first == "open is reported wrong [32-bit: missing] [NULL: name]"
    assert lines == ["32-bit: no event of it came", "NULL: name was ..., reported as ..."]
