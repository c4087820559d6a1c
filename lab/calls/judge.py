"""Does each call's event say what the kernel did? Pure."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.calls.spec import Line, Variant
from lab.calls.words import Prefix, ResultOf, Untold
from lab.drivers.event import Event, Value
from lab.drivers.expect import Expectations, matches

RESULT, MISSING, EXTRA = "result", "missing", "extra"
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
    results = {call.line.step.label: call.result for call in made if call.line.step.label}
    found: list[Fault] = []
    for pid in dict.fromkeys(call.pid for call in made):
        calls = [call for call in made if call.pid == pid and call.line.step.call == name]
        events = sorted(seen.all(type=name, pid=pid), key=lambda event: event.ts)
        for call, event in _paired(calls, events, results):
            if call.variant:
                found += _faults(call, call.variant, event, results)
        if len(events) > len(calls):
            found.append(Fault("all", EXTRA, f"{len(events)} events came of {len(calls)} calls"))
    return found


def _faults(call: MadeCall, variant: Variant, event: Event | None, results: Mapping[str, Any]) -> list[Fault]:
    if event is None:
        return [Fault(variant.name, MISSING, "no event of it came")]
    return [
        Fault(variant.name, what, f"{what} was {_shown(wanted)}, reported as {_shown(event.value(what))}")
        for what, wanted in _wanted(call, variant, results).items()
        if not agrees(event.value(what), wanted)
    ]


def _wanted(call: MadeCall, variant: Variant, results: Mapping[str, Any]) -> dict[str, Any]:
    known = {**results, "pid": call.pid}
    wanted = {
        name: known[value.label] if isinstance(value, ResultOf) else value for name, value in variant.expected.items()
    }
    # A call that did not return has none, unless it is an execve that succeeded.
    if call.result is not None:
        wanted[RESULT] = call.result
    return wanted


def agrees(value: Value, wanted: Any) -> bool:
    """Whether a reported value is the expected one."""
    match wanted:
        case Untold():
            return value is None or value in (b"", ())
        case Prefix():
            return isinstance(value, bytes) and len(value) >= wanted.least and wanted.of.startswith(value)
        case frozenset():
            return isinstance(value, frozenset) and wanted <= value
    return matches(value, wanted)


def _paired(
    calls: Sequence[MadeCall], events: Sequence[Event], results: Mapping[str, Any]
) -> list[tuple[MadeCall, Event | None]]:
    """Each call with its event: both are in order, and some may be missing or more than there should be, so it is the
    cheapest way to put them beside each other."""

    def differ(call: MadeCall, event: Event) -> int:
        variant = call.variant or Variant("", call.line.step)
        return sum(not agrees(event.value(what), want) for what, want in _wanted(call, variant, results).items())

    best: list[list[tuple[int, tuple[int, ...]]]] = [[(index * _ALONE, ()) for index in range(len(events) + 1)]]
    for call in calls:
        above = best[-1]
        here = [(above[0][0] + _ALONE, (*above[0][1], -1))]
        for column, event in enumerate(events):
            cost, way = above[column]
            ways = [
                (cost + differ(call, event), (*way, column)),
                (above[column + 1][0] + _ALONE, (*above[column + 1][1], -1)),
                (here[column][0] + _ALONE, here[column][1]),
            ]
            here.append(min(ways, key=lambda found: found[0]))
        best.append(here)
    chosen = best[-1][-1][1]
    return [(call, events[at] if at >= 0 else None) for call, at in zip(calls, chosen, strict=True)]


def _shown(value: Any) -> str:
    shown = repr(sorted(value)) if isinstance(value, frozenset) else repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}... ({len(value)} long)"
