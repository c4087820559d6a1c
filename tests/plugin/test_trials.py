"""Which calls are raced for, how often, and what of it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from lab.drivers.event import Event
from lab.errors import UnsupportedError
from lab.plugin.trial_fixtures import Trials
from lab.races.trials import NAMES, Made, Rate
from tests.races.points import capture

WON = [["a", "a", "b", 7, 3], ["b", "b", "a", 7, 3]]
LOST = [["a", "a", "a", 7, 3]]


class FakeActor:
    """Prints these rows of trials, one a time that it is run; the last again and again."""

    def __init__(self, *rows: list[list[object]]) -> None:
        self.rows = list(rows)
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *words: str, deadline: float) -> dict[str, Any]:
        assert deadline >= 10
        self.asked.append(words)
        rows = self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]
        return {"calls": [{"call": call, "trials": rows} for call in words[4:]]}


def trials(actor: FakeActor, arch: str = "amd64", sees: tuple[str, ...] = ()) -> tuple[Trials, list[Rate]]:
    kept: list[Rate] = []
    return Trials(actor, arch, sees, kept.extend), kept


def test_each_call_is_made_as_often_and_in_the_way_that_is_asked_for() -> None:
    actor = FakeActor(WON)
    made = trials(actor)[0].run("cold", ["openat", "creat"], 2)
    assert actor.asked == [("racer", "cold", "64", "2", "openat", "creat")]
    assert [one.call for one in made.trials] == ["openat", "openat", "creat", "creat"]


def test_calls_that_the_driver_does_not_look_at_are_left_out() -> None:
    actor = FakeActor(WON)
    trials(actor, sees=("openat",))[0].run("plain", ["creat", "openat"], 2)
    assert actor.asked == [("racer", "plain", "64", "2", "openat")]


def test_without_a_call_left_nothing_is_run_and_nothing_is_right() -> None:
    actor = FakeActor(WON)
    found, _ = trials(actor, sees=("openat",))
    assert not found.run("plain", ["creat"], 2).trials
    assert actor.asked == []
    with pytest.raises(UnsupportedError):
        found.demand_right(Made(()), capture())


def test_a_race_that_was_not_won_is_run_again_and_no_other() -> None:
    actor = FakeActor(LOST, WON)
    found, _ = trials(actor)
    assert len(found.run("plain", ["openat"], 1).trials) == 3
    assert len(actor.asked) == 2
    never = FakeActor(LOST)
    assert len(trials(never)[0].run("plain", ["openat"], 1).trials) == 3
    assert len(never.asked) == 3


@pytest.mark.parametrize(
    ("way", "count", "least"),
    [("plain", 300, 4), ("cold", 16, 4), ("storm", 8, 2), ("plain", 3, 0), ("fault", 16, 0), ("ptraced", 40, 0)],
)
def test_where_luck_decides_a_race_must_be_won_some_times(way: str, count: int, least: int) -> None:
    assert trials(FakeActor(WON))[0].run(way, ["openat"], count).least == least


def test_32_bit_calls_are_made_where_a_64_bit_process_can() -> None:
    actor = FakeActor(WON)
    trials(actor)[0].run("plain", ["openat"], 2, compat=True)
    assert actor.asked[0][2] == "32"
    with pytest.raises(UnsupportedError, match="no 32-bit calls on arm64"):
        trials(actor, "arm64")[0].run("plain", ["openat"], 2, compat=True)


@pytest.mark.parametrize(("second", "wrong"), [("b", 0), ("a", 1)])
def test_rates_are_kept_whether_reports_were_right_or_wrong(second: str, wrong: int) -> None:
    found, kept = trials(FakeActor(WON))
    made = found.run("plain", ["openat"], 2)
    names = [NAMES["a"], NAMES[second]]
    events = [Event("openat", at, 0, 7, 7, 1, b"racer", b"", 3, {"name": name}) for at, name in enumerate(names)]
    seen = capture(*events)
    if wrong:
        with pytest.raises(AssertionError, match=r"reports were wrong: openat \(name\) 1 of 2"):
            found.demand_right(made, seen)
    else:
        found.demand_right(made, seen)
    assert [(rate.call, rate.tried, rate.wrong) for rate in kept] == [("openat", 2, wrong)]
