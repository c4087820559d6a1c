"""Floods are summed up so that what was lost in silence cannot hide."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from lab.bench.flood import Flood
from lab.bench.flood_report import as_json, row, show

GOOD = Flood("open", made=1000, seconds=0.5, alone=0.25, delivered=900, until=1.0, dropped=120)
BAD = Flood("open", made=1000, seconds=0.25, alone=0.25, delivered=700, until=2.0, dropped=0)


@pytest.mark.parametrize(
    ("delivered", "dropped", "silent"), [(1000, 0, 0), (900, 100, 0), (900, 130, 0), (900, 60, 40), (990, None, 10)]
)
def test_what_neither_came_nor_was_dropped_was_lost_in_silence(
    delivered: int, dropped: int | None, silent: int
) -> None:
    """More may be dropped than is missing: other processes' events are dropped too."""
    assert Flood("close", 1000, 1.0, 1.0, delivered, 1.0, dropped).silent == silent


def test_a_row_has_medians_and_all_that_was_lost_in_silence() -> None:
    assert row([GOOD]) == ("2000", "4000", "900", "90.0 %", "120", "0")
    assert row([GOOD, BAD, BAD]) == ("4000", "4000", "350", "70.0 %", "0", "600")


def test_a_driver_that_tells_no_drops_says_so() -> None:
    assert row([Flood("close", 10, 1.0, 1.0, 10, 1.0, None)])[4] == "not told"


def test_the_table_has_a_row_a_kind_and_the_json_every_flood() -> None:
    out = io.StringIO()
    show([GOOD, Flood("close", 10, 1.0, 1.0, 10, 1.0, 0)], "a title [b]", Console(file=out))
    lines = out.getvalue().splitlines()
    assert lines[0] == "a title [b]"
    assert [line.split()[0] for line in lines[2:]] == ["open", "close"]
    found = json.loads(as_json([GOOD, BAD], {"calls": 1000}))
    assert (found["schema"], found["calls"]) == (1, 1000)
    assert [flood["silent"] for flood in found["floods"]] == [0, 300]
