"""What a scenario may ask of a capture, and the message it gets when the answer is no."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from lab.drivers.event import Counters, Event, Value

_SHOWN = 5


class Expectations:
    """Questions to captured events. Names are those of Event's fields and of parameters.

    An expected str equals the guest's bytes when they are its UTF-8 form. A set stands for any of its members, or,
    where the event has a set of flags, for flags that must all be there.
    """

    events: tuple[Event, ...]
    counters: Counters | None
    closed: bool

    def all(self, **expected: Any) -> list[Event]:
        """Every event that matches. AssertionError when the capture is still open."""
        self._demand_closed()
        return [event for event in self.events if not differences(event, expected)]

    def one(self, **expected: Any) -> Event:
        """The one event that matches; AssertionError when there is none or more, or when events were dropped."""
        __tracebackhide__ = True  # pytest shows the scenario's line, not ours
        self._demand_no_drops()
        found = self.all(**expected)
        if len(found) != 1:
            raise AssertionError(self._explain(expected, found))
        return found[0]

    def some(self, **expected: Any) -> Event:
        """The first event that matches, however many there are: of what a driver reports by more than one event.
        AssertionError when there is none."""
        __tracebackhide__ = True
        found = self.all(**expected)
        if not found:
            raise AssertionError(self._explain(expected, found))
        return found[0]

    def none(self, **expected: Any) -> None:
        """Nothing matches; an AssertionError too when events were dropped, or when nobody knows."""
        __tracebackhide__ = True
        self._demand_no_drops()
        found = self.all(**expected)
        if found:
            raise AssertionError(f"expected no event with {show_expected(expected)}, but: {_show_event(found[0])}")

    def count(self, **expected: Any) -> int:
        """How many match; an AssertionError when events were dropped, or when nobody knows."""
        __tracebackhide__ = True
        self._demand_no_drops()
        return len(self.all(**expected))

    def _demand_closed(self) -> None:
        __tracebackhide__ = True
        if not self.closed:
            raise AssertionError("the capture is still open: ask after its `with` block")

    def _demand_no_drops(self) -> None:
        __tracebackhide__ = True
        self._demand_closed()
        if self.counters is None:
            raise AssertionError("the driver's drop counters are not known: absence and counts cannot be asserted")
        if self.counters.drops:
            raise AssertionError(f"the driver dropped {self.counters.drops} events: absence and counts mean nothing")

    def _explain(self, expected: dict[str, Any], found: list[Event]) -> str:
        if found:
            shown = "".join(f"\n  {_show_event(event)}" for event in found[:_SHOWN])
            return f"expected one event with {show_expected(expected)}, but {len(found)} came:{shown}"
        text = f"no event with {show_expected(expected)} among {len(self.events)}"
        # An event of another type is no near miss, only noise.
        alike = [event for event in self.events if "type" not in differences(event, expected)]
        fewest = min((len(differences(event, expected)) for event in alike), default=0)
        nearest = _varied([event for event in alike if len(differences(event, expected)) == fewest], expected)
        for event in nearest[:_SHOWN]:
            wrong = ", ".join(f"{name}={_plain(event.value(name))}" for name in differences(event, expected))
            text += f"; the nearest has {wrong}: {_show_event(event)}"
        return text


def _varied(events: list[Event], expected: dict[str, Any]) -> list[Event]:
    """One of each way to differ first: of many that differ alike, the first few would hide the others."""
    kinds: dict[tuple[str, ...], list[Event]] = {}
    for event in events:
        kinds.setdefault(tuple(differences(event, expected)), []).append(event)
    rounds = zip_longest(*kinds.values())
    return [event for events_of in rounds for event in events_of if event is not None]


def differences(event: Event, expected: dict[str, Any]) -> list[str]:
    """The names in which the event is not as expected."""
    return [name for name, value in expected.items() if not matches(event.value(name), value)]


def matches(actual: Value, expected: Any) -> bool:
    """Whether a value is as expected: str against bytes by UTF-8, a set against flags by containment, against
    anything else as any of its members."""
    if isinstance(expected, (set, frozenset)):
        if isinstance(actual, frozenset):
            return expected <= actual
        return any(matches(actual, item) for item in expected)
    if isinstance(expected, str) and isinstance(actual, bytes):
        return actual == expected.encode()
    if isinstance(expected, (list, tuple)) and isinstance(actual, tuple):
        return len(actual) == len(expected) and all(matches(a, e) for a, e in zip(actual, expected, strict=True))
    return bool(actual == expected)


def show_expected(expected: dict[str, Any]) -> str:
    """What was asked for, as messages write it."""
    return ", ".join(f"{name}={value!r}" for name, value in expected.items())


def _plain(value: Value) -> str:
    return repr(value.decode(errors="backslashreplace")) if isinstance(value, bytes) else repr(value)


def _show_event(event: Event) -> str:
    params = " ".join(f"{name}={_plain(value)}" for name, value in event.params.items() if value is not None)
    return f"{event.type} by {_plain(event.comm)} (pid {event.pid}) result={event.result} {params}"
