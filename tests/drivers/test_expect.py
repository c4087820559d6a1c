"""What a capture answers, and that it answers nothing that it cannot know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Event, Value
from lab.drivers.expect import differences, matches


def event(comm: bytes = b"cat", *, kind: str = "openat", result: int = 3, **params: Value) -> Event:
    return Event(kind, 1, 0, 10, 10, 1, comm, b"/usr/bin/" + comm, result, params)


def capture(*events: Event, drops: int = 0) -> Capture:
    return Capture(events=events, counters=Counters(len(events), drops), closed=True)


HOSTNAME = event(name=b"/etc/hostname", flags=frozenset({"O_RDONLY"}))

ASKING: list[Callable[[Capture], object]] = [
    lambda seen: seen.one(type="openat"),
    lambda seen: seen.none(type="connect"),
    lambda seen: seen.count(type="openat"),
]


def test_the_one_event_that_matches_is_returned() -> None:
    seen = capture(event(b"sh", name=b"/x"), HOSTNAME)
    assert seen.one(type="openat", comm="cat", name="/etc/hostname") is HOSTNAME


def test_two_that_match_are_not_one() -> None:
    with pytest.raises(AssertionError, match="expected one event with type='openat', but 2 came"):
        capture(HOSTNAME, HOSTNAME).one(type="openat")


def test_of_many_that_differ_alike_some_leave_room_for_another() -> None:
    others = [event(name=b"/lib/%d" % number, result=-2) for number in range(9)]
    with pytest.raises(AssertionError, match=r"the nearest has name='/lib/0'.*; the nearest has result=3: openat"):
        capture(*others, event(name=b"/x", result=3)).one(type="openat", name="/x", result=-2)


def test_none_counts_and_lists() -> None:
    seen = capture(HOSTNAME, event(b"sh"))
    seen.none(type="connect")
    assert seen.count(type="openat") == 2
    assert seen.all(comm="sh") == [seen.events[1]]


def test_an_event_that_should_not_be_is_shown() -> None:
    with pytest.raises(AssertionError, match=r"expected no event with .*but: openat by 'cat' .*name='/etc/hostname'"):
        capture(HOSTNAME).none(type="openat")


@pytest.mark.parametrize("ask", ASKING, ids=["one", "none", "count"])
def test_drops_make_every_answer_of_absence_or_count_an_error(ask: Callable[[Capture], object]) -> None:
    with pytest.raises(AssertionError, match="dropped 4 events"):
        ask(capture(HOSTNAME, drops=4))


@pytest.mark.parametrize("ask", ASKING, ids=["one", "none", "count"])
def test_unknown_counters_make_every_answer_of_absence_or_count_an_error(ask: Callable[[Capture], object]) -> None:
    with pytest.raises(AssertionError, match="drop counters are not known"):
        ask(Capture(events=(HOSTNAME,), counters=None, closed=True))


@pytest.mark.parametrize("ask", [*ASKING, lambda seen: seen.all()], ids=["one", "none", "count", "all"])
def test_an_open_capture_says_that_it_is_open(ask: Callable[[Capture], object]) -> None:
    with pytest.raises(AssertionError, match="the capture is still open"):
        ask(Capture())


def test_the_nearest_miss_names_the_field_in_which_it_differs() -> None:
    seen = capture(event(b"sh", name=b"/x"), event(name=b"/etc/hostnam\xff"), event(kind="close"))
    with pytest.raises(AssertionError) as caught:
        seen.one(type="openat", comm="cat", name="/etc/hostname", result=3)
    assert "no event with type='openat', comm='cat', name='/etc/hostname', result=3 among 3" in str(caught.value)
    assert r"the nearest has name='/etc/hostnam\\xff': openat by 'cat'" in str(caught.value)


def test_an_event_of_another_type_is_no_near_miss() -> None:
    with pytest.raises(AssertionError) as caught:
        capture(event(kind="close")).one(type="openat", comm="cat")
    assert str(caught.value) == "no event with type='openat', comm='cat' among 1"


def test_nothing_at_all_is_told_as_such() -> None:
    with pytest.raises(AssertionError, match="among 0"):
        capture().one(type="openat")


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (b"cat", "cat"),
        (b"cat", b"cat"),
        ("é".encode(), "é"),
        (3, 3),
        (-2, {-2, -13}),
        (b"cat", {"cat", "dog"}),
        (frozenset({"A", "B"}), {"A"}),
        (frozenset({"A"}), frozenset()),
        ((b"a", b"b"), ["a", "b"]),
        ((), []),
        (None, None),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_these_match(actual: Value, expected: Any) -> None:
    assert matches(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (b"cat", "ca"),
        (b"\xff", "\ufffd"),
        (3, "3"),
        (None, "x"),
        (None, {1, 2}),
        (frozenset({"A"}), {"A", "B"}),
        (frozenset({"A"}), "A"),
        ((b"a", b"b"), ["a"]),
        ((b"a",), ["a", "b"]),
        (b"ab", ["a", "b"]),
        (-2, set()),
    ],
)
def test_these_do_not(actual: Value, expected: Any) -> None:
    assert not matches(actual, expected)


def test_differences_are_named_in_the_order_of_the_question() -> None:
    assert differences(HOSTNAME, {"result": 0, "comm": "cat", "no-such": 1}) == ["result", "no-such"]
