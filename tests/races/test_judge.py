"""A driver is right when it reports what the kernel acted on, and nothing else makes it so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.races.judge import Answer, demand_right, expected, judge
from lab.races.subjects import SUBJECTS
from lab.races.windows import Window
from tests.races.points import PID, capture, event, made

ASKED, OTHER = b"/work/race/asked", b"/work/race/other"


@pytest.mark.parametrize(
    ("window", "acted"),
    [
        (Window.BEFORE_ENTRY, "other"),
        (Window.BEFORE_COPY, "other"),
        (Window.AFTER_COPY, "asked"),
        (Window.AFTER_OPERATION, "asked"),
        (Window.AFTER_EXIT, "asked"),
    ],
)
def test_a_change_counts_only_until_the_kernel_has_its_copy(window: Window, acted: str) -> None:
    assert expected(window) == acted


@pytest.mark.parametrize(("told", "answer"), [(ASKED, Answer.RIGHT), (OTHER, Answer.MISLED), (b"", Answer.MISLED)])
def test_what_the_kernel_acted_on_is_right_and_all_else_misled(told: bytes, answer: Answer) -> None:
    assert judge(made(at=Window.AFTER_COPY), capture(event(name=told))).answer is answer
    point = judge(made(at=Window.AFTER_COPY), capture(event(name=told)))
    assert (point.acted, point.reported) == ("asked", told.decode())


@pytest.mark.parametrize(("told", "answer"), [(4002, Answer.RIGHT), (4001, Answer.MISLED)])
def test_an_address_is_judged_by_its_port(told: int, answer: Answer) -> None:
    call = made("connect", Window.BEFORE_COPY)
    assert judge(call, capture(event("connect", port=told))).answer is answer


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([], "0 events of it came"),
        ([event(name=ASKED), event(name=ASKED)], "2 events of it came"),
        ([event(name=ASKED, pid=PID + 1)], "0 events of it came"),
        ([event("open", name=ASKED)], "0 events of it came"),
        ([event(path=ASKED)], "its event has no name"),
    ],
)
def test_what_was_not_told_is_neither_right_nor_misled(events: list, why: str) -> None:  # type: ignore[type-arg]
    point = judge(made(), capture(*events))
    assert (point.answer, point.why) == (Answer.UNTOLD, why)


@pytest.mark.parametrize("acted", ["other", "neither", "both"])
def test_a_change_that_did_not_do_what_it_should_says_nothing_of_the_driver(acted: str) -> None:
    point = judge(made(acted=acted), capture(event(name=OTHER)))
    assert (point.answer, point.acted) == (Answer.UNSUPPORTED, acted)
    assert f"the kernel acted on {acted}" in point.why


def test_a_capture_with_drops_is_not_judged() -> None:
    with pytest.raises(AssertionError, match="dropped 2 events"):
        judge(made(), capture(drops=2))


def test_a_scenario_fails_with_the_moments_in_brackets_and_what_was_reported_instead() -> None:
    calls = [made(at=window, pid=number) for number, window in enumerate(Window)]
    told = [OTHER, ASKED, OTHER, OTHER, ASKED]
    seen = capture(*(event(pid=number, name=name) for number, name in enumerate(told)))
    with pytest.raises(AssertionError) as caught:
        demand_right(calls, seen)
    first, *more = str(caught.value).splitlines()
    assert first == "openat is reported wrong [before-kernel-copy, after-kernel-copy, after-operation]"
    assert "after-kernel-copy: no event with type='openat', pid=2" in more[1]
    assert "the nearest has name='/work/race/other'" in more[1]


def test_a_scenario_passes_when_all_is_right_and_fails_when_the_change_did_nothing() -> None:
    demand_right([made()], capture(event(name=ASKED)))
    with pytest.raises(AssertionError, match="openat changed after-kernel-copy: the kernel acted on neither"):
        demand_right([made(acted="neither")], capture(event(name=ASKED)))


def test_every_call_has_a_buffer_that_can_be_changed_to_the_other_object() -> None:
    for name, subject in SUBJECTS.items():
        assert subject.name == name
        assert subject.new != subject.buffer.holds, name
        assert len(subject.new) == len(subject.buffer.holds), name
        assert set(subject.reported) == {"asked", "other"}, name


def test_what_a_driver_concludes_is_judged_before_what_it_merely_read() -> None:
    call = made(at=Window.AFTER_COPY)
    assert judge(call, capture(event(name=OTHER, fd_name=ASKED))).answer is Answer.RIGHT
    assert judge(call, capture(event(name=ASKED, fd_name=OTHER))).answer is Answer.MISLED
    assert judge(call, capture(event(name=ASKED, fd_name=None))).answer is Answer.RIGHT


def test_the_exec_of_the_actor_itself_is_not_the_exec_that_is_raced() -> None:
    call = made("execve", Window.AFTER_COPY)
    own = event("execve", filename=b"/run/lab/bin/lab-race")
    raced = replace(event("execve", filename=ASKED), comm=b"asked")
    assert judge(call, capture(own, raced)).answer is Answer.RIGHT
    assert judge(call, capture(own)).answer is Answer.UNTOLD
