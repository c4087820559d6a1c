"""Who reported an action, with what, and who said something else: each from the events alone."""

from __future__ import annotations

from typing import Any

import pytest

from lab.compare.actions import ACTIONS, LONG_NAME, Action
from lab.compare.judge import Answer, Did, Sight, judge
from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Event

PID, CHILD = 100, 101
BY_NAME = {action.name: action for action in ACTIONS}
OPENED: dict[str, Any] = {"name": b"/work/compare/file", "flags": frozenset({"O_RDWR", "O_CLOEXEC"})}


def did(name: str, result: int = 3) -> Did:
    return Did(BY_NAME[name], {"pid": PID, "result": result, "child": CHILD})


def event(kind: str = "openat", pid: int = PID, result: int | None = 3, ppid: int = 1, **params: Any) -> Event:
    return Event(kind, 1, 0, pid, pid, ppid, b"lab-act", b"", result, params)


def capture(*events: Event, drops: int = 0) -> Capture:
    return Capture(events=events, counters=Counters(len(events), drops), closed=True)


def answer(name: str, *events: Event, sees: tuple[str, ...] = (), drops: int = 0, result: int = 3) -> Sight:
    return judge(did(name, result), capture(*events, drops=drops), sees)


def test_all_that_was_asked_for_is_all() -> None:
    assert answer("open", event(**OPENED)) == Sight("open", Answer.ALL)


def test_what_is_left_out_is_named() -> None:
    sight = answer("open", event(**{**OPENED, "flags": None}))
    assert (sight.answer, sight.untold) == (Answer.PARTLY, ("flags",))


def test_what_is_said_instead_is_shown() -> None:
    sight = answer("open", event(**{**OPENED, "name": b"/work/compare/\xff"}))
    assert (sight.answer, sight.otherwise) == (Answer.OTHERWISE, (("name", "/work/compare/\\xff"),))


def test_the_result_is_what_the_call_returned() -> None:
    assert answer("open", event(result=-2, **OPENED)).otherwise == (("result", "-2"),)


@pytest.mark.parametrize("other", [event(pid=7, **OPENED), event("open", **OPENED)])
def test_another_process_and_another_call_are_no_report(other: Event) -> None:
    assert answer("open", other).answer is Answer.UNSEEN


def test_another_open_of_the_same_process_is_no_report() -> None:
    other = event(result=9, name=b"/dev/null", flags=frozenset({"O_RDONLY"}))
    assert answer("open", other).answer is Answer.UNSEEN
    assert answer("open", other, event(**OPENED)).answer is Answer.ALL


def test_who_does_not_look_has_missed_nothing() -> None:
    assert answer("mount", sees=("openat",)).answer is Answer.BLIND
    assert answer("open", sees=("openat",)).answer is Answer.UNSEEN


def test_nothing_is_said_of_what_may_have_been_dropped() -> None:
    assert answer("open", drops=1).answer is Answer.UNKNOWN
    assert judge(did("open"), Capture(events=(), counters=None, closed=True), ()).answer is Answer.UNKNOWN


def test_a_report_counts_whatever_was_dropped() -> None:
    assert answer("open", event(**OPENED), drops=1).answer is Answer.ALL


def test_what_cannot_be_done_is_no_fault_of_the_drivers() -> None:
    impossible = judge(Did(BY_NAME["open"], None, why="no such thing"), capture(), ())
    assert (impossible.answer, impossible.why) == (Answer.IMPOSSIBLE, "no such thing")


def test_a_child_is_known_by_what_the_program_told() -> None:
    right = event("procexit", pid=CHILD, ppid=PID, result=None, status=42 << 8)
    assert answer("exit", right, result=CHILD).answer is Answer.ALL
    orphan = event("procexit", pid=CHILD, ppid=1, result=None, status=42 << 8)
    assert answer("exit", orphan, result=CHILD).otherwise == (("ppid", "1"),)


def test_a_long_value_is_cut_and_its_length_told() -> None:
    (_, shown), *_ = answer("open", event(**{**OPENED, "name": b"/" * 4000})).otherwise
    assert shown.endswith("... (4000)")
    assert len(shown) < 80


def test_the_long_path_is_the_longest_that_a_kernel_takes() -> None:
    assert len(LONG_NAME) == 4095
    assert LONG_NAME.endswith("/file")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_is_one_of_a_name_and_asks_for_something(action: Action) -> None:
    assert [other.name for other in ACTIONS].count(action.name) == 1
    assert action.expected
    assert action.calls
