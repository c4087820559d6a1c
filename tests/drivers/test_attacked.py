"""Of a driver that is attacked: an action is reported, or counted, or the capture says that it broke off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from lab.drivers.attacked import under_attack
from lab.drivers.capture import Capture, Events, UncountedLossError
from lab.drivers.event import Counters, Event
from lab.errors import ConsumerError

REMOVED: dict[str, Any] = {"type": "unlinkat", "name": "/work/x"}
EVENT = Event("unlinkat", 1, 0, 10, 10, 1, b"rm", b"/usr/bin/rm", 0, {"name": b"/work/x"})
OTHER = Event("openat", 1, 0, 10, 10, 1, b"rm", b"/usr/bin/rm", 3, {"name": b"/work/x"})


class Source:
    """Captures that end as a test says."""

    def __init__(self, *events: Event, counters: Counters | None = None, error: ConsumerError | None = None) -> None:
        self._events, self._counters, self._error = events, counters, error

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        capture = Capture()
        yield capture
        if self._error:
            raise self._error
        capture.events, capture.counters, capture.closed = self._events, self._counters, True


def attacked(source: Source) -> Any:
    with under_attack(cast(Events, source)) as seen:
        pass
    return seen


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (Source(EVENT, counters=Counters(1, 0)), ""),
        (Source(counters=Counters(1, 3)), "3 events were dropped"),
        (Source(), "the driver's drop counters are not known"),
        (Source(error=ConsumerError("its consumer ended")), "its consumer ended"),
    ],
)
def test_what_is_reported_or_told_of_is_no_silence(source: Source, told: str) -> None:
    seen = attacked(source)
    assert seen.told == told
    seen.demand(**REMOVED)


def test_an_action_that_is_in_no_event_and_no_counter_vanished() -> None:
    with pytest.raises(AssertionError, match=r"an action vanished: no event with type='unlinkat'.* among 1"):
        attacked(Source(OTHER, counters=Counters(1, 0))).demand(**REMOVED)


def test_a_loss_that_only_the_labs_mark_shows_is_silence() -> None:
    error = UncountedLossError("it lost the mark of the capture's end and counted no drop")
    with pytest.raises(AssertionError, match="an action vanished, or can have: it lost the mark"):
        attacked(Source(error=error)).demand(**REMOVED)


def test_what_goes_wrong_while_it_is_attacked_is_raised() -> None:
    with pytest.raises(ConsumerError, match="cannot start"), under_attack(cast(Events, Source())):
        raise ConsumerError("cannot start")
