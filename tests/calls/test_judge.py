"""Whether each variant's event says what the kernel did, and what is said when it does not."""

from __future__ import annotations

import dataclasses
import errno
from typing import Any

import pytest

from lab.calls.judge import Fault, MadeCall, agrees, demand_made, faults, known_here, made_of
from lab.calls.spec import Line, Step, Variant
from lab.calls.words import AnyOf, Prefix, Untold, myself, result, text
from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Event

PID = 10


def made(variant: str, returned: int | None, name: str = "/a", *, fails: int = 0, pid: int = PID) -> MadeCall:
    step = Step("open", (text(name, "name"),))
    return MadeCall(Line(step, Variant(variant, step, fails)), returned, pid, 0)


def event(returned: int | None, ts: int = 0, *, pid: int = PID, **params: Any) -> Event:
    return Event("open", ts, 0, pid, pid, 1, b"syscalls", b"", returned, params)


def seen(*events: Event, drops: int = 0) -> Capture:
    return Capture(events=events, counters=Counters(len(events), drops), closed=True)


def whats(calls: list[MadeCall], *events: Event) -> list[tuple[str, str]]:
    return [(fault.variant, fault.what) for fault in faults("open", calls, seen(*events))]


CALLS = [made("success", 3), made("failing", -2, "/b", fails=2), made("again", 4, "/c")]
EVENTS = [event(3, 1, name=b"/a"), event(-2, 2, name=b"/b"), event(4, 3, name=b"/c")]


def test_events_that_say_what_was_done_have_no_fault() -> None:
    assert whats(CALLS, *EVENTS) == []


def test_they_are_in_order_of_their_time_where_they_come_from_several_cpus() -> None:
    other = [dataclasses.replace(event, cpu=number % 2) for number, event in enumerate(EVENTS)]
    assert whats(CALLS, *reversed(other)) == []


def test_they_are_in_order_of_their_coming_where_they_come_from_one() -> None:
    late = [dataclasses.replace(event, ts=-event.ts) for event in EVENTS]
    assert whats(CALLS, *late) == []


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_call_without_an_event_is_missing_and_the_others_are_right(gone: int) -> None:
    rest = [event for number, event in enumerate(EVENTS) if number != gone]
    assert whats(CALLS, *rest) == [(("success", "failing", "again")[gone], "missing")]


def test_what_is_wrong_is_told_by_its_name_with_both_values() -> None:
    wrong = event(-2, 2, name=b"/z")
    (fault,) = faults("open", CALLS, seen(EVENTS[0], wrong, EVENTS[2]))
    assert fault == Fault("failing", "name", "name was b'/b', reported as b'/z'")


def test_a_wrong_result_is_a_fault_of_its_own() -> None:
    assert whats(CALLS, event(0, 1, name=b"/a"), *EVENTS[1:]) == [("success", "result")]


def test_one_event_too_many_is_a_fault() -> None:
    assert whats(CALLS, *EVENTS, event(9, 2, name=b"/z")) == [("all", "extra")]


def test_a_call_in_a_child_is_told_by_the_childs_events() -> None:
    child = made("child", 5, pid=11)
    assert whats([child], event(5, 1, name=b"/a")) == [("child", "missing")]
    assert whats([child], event(5, 1, pid=11, name=b"/a")) == []


def test_what_only_prepares_is_passed_over_and_takes_its_event_with_it() -> None:
    step = Step("open", (text("/a"),))
    setup = MadeCall(Line(step), 3, PID, 0)
    assert whats([setup, made("success", 4)], event(3, 1, name=b"/x"), event(4, 2, name=b"/a")) == []


def test_a_call_that_did_not_return_has_no_result_to_compare() -> None:
    assert whats([made("gone", None)], event(None, 1, name=b"/a")) == []


def test_what_an_earlier_step_returned_and_who_called_is_put_in() -> None:
    opens = Step("open", (), label="file")
    closes = Step("close", (result("file", "fd"), myself("target")))
    calls = [
        MadeCall(Line(opens), 7, PID, 0),
        MadeCall(Line(closes, Variant("success", closes)), 0, PID, 0),
    ]
    right = Event("close", 1, 0, PID, PID, 1, b"", b"", 0, {"fd": 7, "target": PID})
    wrong = Event("close", 1, 0, PID, PID, 1, b"", b"", 0, {"fd": 8, "target": 1})
    assert faults("close", calls, seen(right)) == []
    assert [fault.what for fault in faults("close", calls, seen(wrong))] == ["fd", "target"]


def test_nothing_is_said_of_a_capture_that_lost_events() -> None:
    with pytest.raises(AssertionError, match="dropped"):
        faults("open", CALLS, seen(*EVENTS, drops=1))


@pytest.mark.parametrize(
    ("value", "wanted", "agreed"),
    [
        (None, Untold(), True),
        (b"", Untold(), True),
        ((), Untold(), True),
        (b"x", Untold(), False),
        (b"x", AnyOf((b"x", b"/x")), True),
        (b"/x", AnyOf((b"x", b"/x")), True),
        (b"y", AnyOf((b"x", b"/x")), False),
        (None, AnyOf((b"x", b"/x")), False),
        (b"abc", Prefix(b"abcd", 3), True),
        (b"ab", Prefix(b"abcd", 3), False),
        (b"abx", Prefix(b"abcd", 3), False),
        (None, Prefix(b"abcd", 3), False),
        (frozenset({"A", "B"}), frozenset({"A"}), True),
        (frozenset({"B"}), frozenset({"A"}), False),
        (None, frozenset({"A"}), False),
        (3, 3, True),
        (None, 3, False),
    ],
)
def test_a_value_agrees_with_what_is_expected_or_not(value: Any, wanted: Any, agreed: bool) -> None:
    assert agrees(value, wanted) is agreed


@pytest.mark.parametrize(("returned", "fails"), [(-1, 0), (3, 2), (-13, 2), (None, 2)])
def test_a_kernel_that_did_something_else_proves_nothing(returned: int | None, fails: int) -> None:
    with pytest.raises(AssertionError, match=r"the kernel answered .* to open \[success\]"):
        demand_made([made("success", returned, fails=fails)])


def test_a_kernel_without_the_call_has_no_variants_of_it() -> None:
    assert known_here([made("success", -errno.ENOSYS), made("failing", -2, fails=2)]) == [made("failing", -2, fails=2)]


def test_what_the_actor_says_of_other_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="tells of 0 calls, not 1"):
        made_of([CALLS[0].line], {"calls": []})
    (call,) = made_of([CALLS[0].line], {"calls": [{"result": 3, "pid": PID, "status": 0}]})
    assert call == CALLS[0]


def test_a_child_that_returns_from_its_own_making_is_no_call_of_its() -> None:
    step = Step("clone", ())
    calls = [MadeCall(Line(step, Variant("success", step)), 12, PID, 0)]
    born = Event("clone", 1, 0, PID, PID, 1, b"", b"", 0, {})
    its_own = Event("clone", 2, 0, PID, PID, 1, b"", b"", 12, {})
    assert faults("clone", calls, seen(born, its_own)) == []


def test_a_label_that_is_used_again_is_what_its_step_returned_until_then() -> None:
    opens, closes = Step("open", (), label="file"), Step("close", (result("file", "fd"),))
    calls = [
        MadeCall(Line(step, Variant(name, step) if name else None), returned, PID, 0)
        for step, name, returned in ((opens, "", 7), (closes, "one", 0), (opens, "", 8), (closes, "two", 0))
    ]
    events = [Event("close", ts, 0, PID, PID, 1, b"", b"", 0, {"fd": fd}) for ts, fd in ((1, 7), (2, 8))]
    assert faults("close", calls, seen(*events)) == []
