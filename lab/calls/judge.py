"""Does each call's event say what the kernel did? Pure."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.calls.spec import Line, Variant
from lab.calls.words import AnyOf, Prefix, ResultOf, Untold
from lab.drivers.event import Event, Value, in_order
from lab.drivers.expect import Expectations, matches

RESULT, MISSING, EXTRA = "result", "missing", "extra"
_FORKS = frozenset({"fork", "vfork", "clone", "clone3"})
# What an event costs that is nobody's, and a call that has none: more than any two that differ.
_ALONE = 100
_SHOWN = 120


@dataclass(frozen=True)
class Fault:
    """What is wrong with a variant's event: a parameter's name, "result" or "missing"; `told` is for people."""

    variant: str
    what: str
    told: str


@dataclass(frozen=True)
class MadeCall:
    """A call that the actor made: what the kernel returned (None: it did not return), in which process, and how that
    ended (wait(2), of a child)."""

    line: Line
    result: int | None
    pid: int
    status: int

    @property
    def variant(self) -> Variant | None:
        return self.line.variant


# A call, and what its event must say.
_Asked = tuple[MadeCall, Mapping[str, Any]]


def made_of(lines: Sequence[Line], said: Mapping[str, Any]) -> list[MadeCall]:
    """What the actor's JSON says of the steps that it took; ValueError when it is of other steps."""
    calls = said["calls"]
    if len(calls) != len(lines):
        raise ValueError(f"the actor tells of {len(calls)} calls, not {len(lines)}")
    return [
        MadeCall(line, call["result"], int(call["pid"]), int(call["status"]))
        for line, call in zip(lines, calls, strict=True)
    ]


def demand_made(made: Sequence[MadeCall]) -> None:
    """AssertionError when the kernel did not do with a variant what the variant is about: then its event proves
    nothing."""
    __tracebackhide__ = True
    for call in made:
        name = call.line.step.call
        if call.variant and min(call.result or 0, 0) != -call.variant.fails:
            raise AssertionError(f"the kernel answered {call.result} to {name} [{call.variant.name}]")


def known_here(made: Sequence[MadeCall]) -> list[MadeCall]:
    """Without the variants of calls that this kernel does not have."""
    return [call for call in made if call.variant is None or call.result != -errno.ENOSYS]


def faults(name: str, made: Sequence[MadeCall], seen: Expectations) -> list[Fault]:
    """What is wrong with the events of the calls of that name, of every variant. AssertionError when events were
    dropped."""
    seen.count(type=name)
    wanted = _all_wanted(made)
    found: list[Fault] = []
    for pid in dict.fromkeys(call.pid for call in made):
        calls = [
            (call, wants)
            for call, wants in zip(made, wanted, strict=True)
            if call.pid == pid and call.line.step.call == name
        ]
        events = _of_the_caller(seen.all(type=name, pid=pid))
        for (call, wants), event in _paired(calls, events):
            if call.variant:
                found += _faults(call.variant, wants, event)
        if len(events) > len(calls):
            found.append(Fault("all", EXTRA, f"{len(events)} events came of {len(calls)} calls"))
    return found


def _of_the_caller(events: Sequence[Event]) -> list[Event]:
    """In their order; without those of a child that is reported to return from its own making."""
    mine = [event for event in events if event.type not in _FORKS or event.result != 0]
    return in_order(mine)


def _faults(variant: Variant, wanted: Mapping[str, Any], event: Event | None) -> list[Fault]:
    if event is None:
        return [Fault(variant.name, MISSING, "no event of it came")]
    return [
        Fault(variant.name, what, f"{what} was {_shown(wants)}, reported as {_shown(event.value(what))}")
        for what, wants in wanted.items()
        if not agrees(event.value(what), wants)
    ]


def _all_wanted(made: Sequence[MadeCall]) -> list[dict[str, Any]]:
    """What each call's event must say. A label is what the latest step of that name returned until then."""
    known: dict[str, int | None] = {}
    found: list[dict[str, Any]] = []
    for call in made:
        variant = call.variant or Variant("", call.line.step)
        known["pid"] = call.pid
        wants = {
            name: known[value.label] if isinstance(value, ResultOf) else value
            for name, value in variant.expected.items()
        }
        # A call that did not return has none, unless it is an execve that succeeded.
        if call.result is not None:
            wants[RESULT] = call.result
        found.append(wants)
        if call.line.step.label:
            known[call.line.step.label] = call.result
    return found


def agrees(value: Value, wanted: Any) -> bool:
    """Whether a reported value is the expected one."""
    match wanted:
        case Untold():
            return value is None or value in (b"", ())
        case Prefix():
            return isinstance(value, bytes) and len(value) >= wanted.least and wanted.of.startswith(value)
        case AnyOf():
            return any(agrees(value, one) for one in wanted.values)
        case frozenset():
            return isinstance(value, frozenset) and wanted <= value
    return matches(value, wanted)


def _paired(calls: Sequence[_Asked], events: Sequence[Event]) -> list[tuple[_Asked, Event | None]]:
    """Each call with its event: both are in order, and some may be missing or more than there should be, so it is the
    cheapest way to put them beside each other."""
    best: list[list[tuple[int, tuple[int, ...]]]] = [[(index * _ALONE, ()) for index in range(len(events) + 1)]]
    for _, wanted in calls:
        above = best[-1]
        here = [(above[0][0] + _ALONE, (*above[0][1], -1))]
        for column, event in enumerate(events):
            cost, way = above[column]
            differ = sum(not agrees(event.value(what), wants) for what, wants in wanted.items())
            ways = [
                (cost + differ, (*way, column)),
                (above[column + 1][0] + _ALONE, (*above[column + 1][1], -1)),
                (here[column][0] + _ALONE, here[column][1]),
            ]
            here.append(min(ways, key=lambda found: found[0]))
        best.append(here)
    chosen = best[-1][-1][1]
    return [(asked, events[at] if at >= 0 else None) for asked, at in zip(calls, chosen, strict=True)]


def _shown(value: Any) -> str:
    shown = repr(sorted(value)) if isinstance(value, frozenset) else repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}... ({len(shown)} characters)"
