"""How often a report was wrong is counted against what the kernel did, and only where there was a race."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from lab.drivers.capture import Capture
from lab.drivers.event import Event
from lab.errors import LabError, UnsupportedError
from lab.races.trials import NAMES, Made, Trial, demand_right, demand_won, lost, rates, told, wilson
from tests.races.points import PID, capture

A, B = NAMES["a"], NAMES["b"]


def trial(states: str = "aab", call: str = "openat", pid: int = PID, result: int = 3) -> Trial:
    before, acted, after = list(states)
    return Trial(call, before, acted, after, pid, result)


def reported(*names: object, call: str = "openat", param: str = "name", pid: int = PID) -> list[Event]:
    """Events in their order."""
    return [
        Event(call, number, 0, pid, pid, 1, b"racer", b"", 3, {param: name})  # type: ignore[dict-item]
        for number, name in enumerate(names)
    ]


def seen(events: Sequence[Event]) -> Capture:
    return capture(*events)


def test_a_report_of_what_the_kernel_acted_on_is_right_whatever_the_argument_said() -> None:
    (rate,) = rates([trial("aba"), trial("bab")], seen(reported(B, A)))
    assert (rate.tried, rate.wrong) == (2, 0)
    demand_right([rate])


def test_a_report_of_the_other_is_wrong_and_said_so_with_its_interval() -> None:
    found = rates([trial("aab"), trial("bba"), trial("aab")], seen(reported(A, A, B)))
    with pytest.raises(AssertionError) as caught:
        demand_right(found)
    first, second = str(caught.value).splitlines()
    assert first == "reports were wrong: openat (name) 2 of 3, 21% to 94% at 95%"
    assert second == "openat: told instead the other (2), in try 2, 3"


@pytest.mark.parametrize(
    ("value", "words"), [(b"", "nothing (1)"), (None, "nothing (1)"), (b"/work/race/a-f", "/work/race/a-f (1)")]
)
def test_a_report_of_nothing_or_of_a_part_is_wrong_too(value: bytes | None, words: str) -> None:
    (rate,) = rates([trial("aab")], seen(reported(value)))
    assert rate.wrong == 1
    with pytest.raises(AssertionError, match=rf"told instead {words.replace('(', '.').replace(')', '.')}"):
        demand_right([rate])


def test_events_of_several_cpus_are_matched_in_the_order_of_their_time() -> None:
    first, second = reported(A, B)
    (rate,) = rates([trial("aab"), trial("bba")], seen([dataclasses.replace(second, cpu=1), first]))
    assert rate.wrong == 0


def test_events_of_one_cpu_are_matched_as_they_came_though_the_clock_stepped_back() -> None:
    second, first = reported(B, A)
    (rate,) = rates([trial("aab"), trial("bba")], seen([first, second]))
    assert rate.wrong == 0


def test_what_a_driver_concludes_is_judged_before_what_it_read() -> None:
    (event,) = reported(B)
    concluded = Event(**{**vars(event), "params": {"name": B, "fd_name": A}})
    (rate,) = rates([trial("aab")], seen([concluded]))
    assert (rate.param, rate.wrong) == ("fd_name", 0)


@pytest.mark.parametrize("call", ["connect", "bind", "sendto"])
def test_addresses_are_told_by_their_port(call: str) -> None:
    (rate,) = rates([trial("aab", call), trial("bba", call)], seen(reported(4001, 4001, call=call, param="port")))
    assert (rate.param, rate.tried, rate.wrong) == ("port", 2, 1)


def test_each_process_has_its_own_order() -> None:
    events = [*reported(A, call="execve", param="filename"), *reported(B, call="execve", param="filename", pid=9)]
    (rate,) = rates([trial("aaa", "execve"), trial("bbb", "execve", pid=9)], seen(events))
    assert (rate.tried, rate.wrong) == (2, 0)


@pytest.mark.parametrize("names", [(), (A,), (A, A, A)])
def test_a_call_without_its_one_event_is_no_matter_of_luck(names: tuple[bytes, ...]) -> None:
    with pytest.raises(AssertionError, match=f"openat was made 2 times by process {PID}, and {len(names)} events"):
        rates([trial(), trial()], seen(reported(*names)))


def test_dropped_events_are_no_basis_for_a_rate() -> None:
    with pytest.raises(AssertionError, match="dropped 1 events"):
        rates([trial()], capture(*reported(A), drops=1))


def test_a_call_that_did_nothing_is_not_judged() -> None:
    (rate,) = rates([trial("a?b", result=-2), trial("aab")], seen(reported(B, A)))
    assert (rate.tried, rate.wrong) == (1, 0)


@pytest.mark.parametrize(
    "states",
    [
        ["aaa", "bbb"],  # both, but nothing changed under way
        ["aab", "aab"],  # changed, but the kernel acted on one only
        ["a?b", "b?a"],
    ],
)
def test_a_race_that_was_never_won_is_unsupported_and_never_zero_wrong(states: list[str]) -> None:
    made = Made(tuple(trial(text, result=-2) for text in states))
    assert lost(made) == ["openat"]
    with pytest.raises(UnsupportedError, match="the race for openat was not won often enough in 2 tries"):
        demand_won(made)


def test_a_race_is_won_when_the_kernel_acted_on_both_and_something_changed_under_way() -> None:
    made = Made((trial("aab"), trial("bbb")))
    assert lost(made) == []
    demand_won(made)


@pytest.mark.parametrize(
    ("states", "early", "late"),
    [
        (["abb", "bba", "aab", "bbb"], 1, 2),  # who reads at the entry was hardly tried
        (["baa", "bba", "abb", "bbb"], 2, 1),  # who reads at the exit was hardly tried
        (["a?b", "b?a", "abb", "bba", "aab"], 1, 2),  # of what came to nothing no change counts
    ],
)
def test_a_race_is_none_when_the_argument_seldom_changed_on_either_side_of_the_kernels_taking_it(
    states: list[str], early: int, late: int
) -> None:
    trials = tuple(map(trial, states))
    assert lost(Made(trials)) == []
    made = Made(trials, least=2)
    assert lost(made) == ["openat"]
    words = rf"changed {early} times before that and {late} times after \(at least 2\)"
    with pytest.raises(UnsupportedError, match=words):
        demand_won(made)


def test_a_race_in_which_the_argument_changed_often_on_both_sides_is_one() -> None:
    made = Made((trial("aba"), trial("bab")), least=2)
    assert lost(made) == []
    (rate,) = rates(made.trials, seen(reported(B, A)))
    assert rate.facts() == {
        "call": "openat", "param": "name", "tried": 2, "early": 2, "late": 2, "wrong": 0, "interval": [0.0, 0.6576],
    }  # fmt: skip


def test_a_call_that_failed_is_told_by_its_result() -> None:
    with pytest.raises(UnsupportedError, match=r"it returned -2"):
        demand_won(Made((trial("a?b", result=-2),)))


def test_without_a_call_there_is_nothing_to_say() -> None:
    with pytest.raises(UnsupportedError, match="none of these calls"):
        demand_won(Made(()))


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"),
    [(0, 20, 0.0, 0.1611), (10, 20, 0.2993, 0.7007), (20, 20, 0.8389, 1.0), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(hits: int, tries: int, low: float, high: float) -> None:
    assert wilson(hits, tries) == pytest.approx((low, high), abs=1e-4)


def test_what_the_actor_prints_is_read() -> None:
    said = {"calls": [{"call": "openat", "trials": [["a", "b", "b", 7, 3]]}]}
    assert told(said) == [Trial("openat", "a", "b", "b", 7, 3)]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"calls": [{"call": "openat", "trials": [["a", "b"]]}]},
        {"calls": [{"call": "openat", "trials": [["a", "x", "b", 7, 3]]}]},
        {"calls": [{"call": "openat", "trials": [["a", "b", "b", "7", 3]]}]},
    ],
)
def test_what_is_no_racers_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="the racer printed"):
        told(said)
