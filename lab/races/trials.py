"""Races that luck decides: how often a driver's report was wrong, of how many calls. Pure.

scenarios/actors/racer.c makes the calls. Whatever changed their argument, and whenever: what is right to report is what
the kernel acted on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lab.drivers.event import Event, Value, in_order
from lab.drivers.expect import Expectations, matches
from lab.errors import LabError, UnsupportedError
from lab.races.subjects import subject

# As in racer.c.
NAMES: Mapping[str, Value] = MappingProxyType(
    {"a": b"/work/race/a-file-of-the-race", "b": b"/work/race/b-file-of-the-race"}
)
PORTS: Mapping[str, Value] = MappingProxyType({"a": 4001, "b": 4002})
_BY_PORT = frozenset({"connect", "bind", "sendto"})
_LETTERS = frozenset("ab?")
_Z = 1.959964  # of 95% confidence
_SHOWN = 8


@dataclass(frozen=True)
class Trial:
    """A call: what its argument said just before it, what the kernel acted on ("?": on neither), and what the argument
    said just after it, each "a" or "b"; who made it, and what it returned."""

    call: str
    before: str
    acted: str
    after: str
    pid: int
    result: int

    @property
    def counts(self) -> bool:
        """Whether the kernel acted at all."""
        return self.acted != "?"

    @property
    def early(self) -> bool:
        """Whether the argument changed before the kernel took it: who reads it at the call's entry may be misled."""
        return self.counts and self.before != self.acted

    @property
    def late(self) -> bool:
        """Whether it changed after that: who reads it at the call's exit may be misled."""
        return self.counts and self.acted != self.after


@dataclass(frozen=True)
class Made:
    """What a racer made: its trials, and how often at least a call's argument must have changed `early` and `late`
    for its race to be one. None of either is demanded of a way that has but one of them."""

    trials: tuple[Trial, ...]
    least: int = 0


@dataclass(frozen=True)
class Rate:
    """Of `tried` reports of a call `wrong` were wrong, as `told` instead (each with how often), by `param`; `which` are
    the numbers of their events, from 1. In `early` and `late` of them the argument changed so."""

    call: str
    param: str
    tried: int
    wrong: int
    early: int = 0
    late: int = 0
    told: tuple[tuple[str, int], ...] = ()
    which: tuple[int, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, at 95%."""
        return wilson(self.wrong, self.tried)

    def facts(self) -> dict[str, Any]:
        """The same as plain types, for results."""
        counted = {name: getattr(self, name) for name in ("tried", "early", "late", "wrong")}
        return {"call": self.call, "param": self.param, **counted, "interval": [round(end, 4) for end in self.interval]}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.call} ({self.param}) {self.wrong} of {self.tried}, {low:.0%} to {high:.0%} at 95%"


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """The interval in which a probability lies that showed itself in `hits` of `tries`, with 95% confidence."""
    if not tries:
        return 0.0, 1.0
    share, square = hits / tries, _Z * _Z
    middle = (share + square / (2 * tries)) / (1 + square / tries)
    half = _Z * math.sqrt(share * (1 - share) / tries + square / (4 * tries * tries)) / (1 + square / tries)
    return max(0.0, middle - half), min(1.0, middle + half)


def told(said: Mapping[str, Any]) -> list[Trial]:
    """The trials in what the actor printed; LabError when it is not that."""
    try:
        found = [Trial(str(row["call"]), *trial) for row in said["calls"] for trial in row["trials"]]
        sound = all({one.before, one.acted, one.after} <= _LETTERS and isinstance(one.pid, int) for one in found)
    except (KeyError, TypeError) as error:
        raise LabError(f"the racer printed {str(said)[:100]!r}", hint="look at scenarios/actors/racer.c") from error
    if not sound:
        raise LabError(f"the racer printed {str(said)[:100]!r}", hint="look at scenarios/actors/racer.c")
    return found


def lost(made: Made) -> list[str]:
    """The calls whose race was none: the kernel acted always on the same, or their argument changed too seldom under
    way. A report of them that is right proves nothing."""
    return [call for call in _calls(made.trials) if not _won(_of(call, made.trials), made.least)]


def demand_won(made: Made) -> None:
    """UnsupportedError when there was no call, or the race for one was none."""
    if not made.trials:
        raise UnsupportedError("none of these calls is there to be raced for")
    for call in lost(made):
        of_it = _of(call, made.trials)
        results = ", ".join(f"{result}" for result in sorted({trial.result for trial in of_it if not trial.counts}))
        failed = f"; it returned {results}" if results else ""
        acted = ", ".join(f"{sum(trial.acted == letter for trial in of_it)} on {letter}" for letter in "ab")
        early, late = _changes(of_it)
        raise UnsupportedError(
            f"the race for {call} was not won often enough in {len(of_it)} tries: the kernel acted {acted}; "
            f"its argument changed {early} times before that and {late} times after (at least {max(made.least, 1)})"
            f"{failed}"
        )


def rates(trials: Sequence[Trial], seen: Expectations) -> list[Rate]:
    """How often each call was reported wrong.

    AssertionError when a call has not exactly one event: a call that is not told of is no matter of luck.
    """
    __tracebackhide__ = True
    return [_rate(call, _of(call, trials), seen) for call in _calls(trials)]


def demand_right(found: Sequence[Rate]) -> None:
    """AssertionError when any report was wrong; it says how often."""
    __tracebackhide__ = True
    wrong = [rate for rate in found if rate.wrong]
    if not wrong:
        return
    lines = [f"\n{rate.call}: told instead {_counted(rate.told)}, {_numbers(rate.which)}" for rate in wrong]
    raise AssertionError(f"reports were wrong: {'; '.join(map(str, wrong))}{''.join(lines)}")


def _won(trials: Sequence[Trial], least: int) -> bool:
    early, late = _changes(trials)
    enough = min(early, late) >= least and early + late > 0
    return {trial.acted for trial in trials} >= {"a", "b"} and enough


def _changes(trials: Sequence[Trial]) -> tuple[int, int]:
    return sum(trial.early for trial in trials), sum(trial.late for trial in trials)


def _of(call: str, trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.call == call]


def _calls(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.call for trial in trials))


def _rate(call: str, trials: Sequence[Trial], seen: Expectations) -> Rate:
    __tracebackhide__ = True
    wanted, right = subject(call), PORTS if call in _BY_PORT else NAMES
    events = _events(call, trials, seen)
    wrong: Counter[str] = Counter()
    params = {wanted.param(event): None for event in events}
    which: list[int] = []
    judged = [item for item in enumerate(zip(trials, events, strict=True), 1) if item[1][0].counts]
    for number, (trial, event) in judged:
        value = event.value(wanted.param(event))
        if not matches(value, right[trial.acted]):
            wrong[_shown(value, right)] += 1
            which.append(number)
    told = tuple(wrong.most_common())
    return Rate(call, "/".join(params), len(judged), wrong.total(), *_changes(trials), told, tuple(which))


def _events(call: str, trials: Sequence[Trial], seen: Expectations) -> list[Event]:
    """The events of these trials, in their order: a process makes them one after the other."""
    __tracebackhide__ = True
    found: list[Event] = []
    for pid, count in Counter(trial.pid for trial in trials).items():
        came = seen.count(type=call, pid=pid)
        if came != count:
            raise AssertionError(f"{call} was made {count} times by process {pid}, and {came} events came of it")
        found += in_order(seen.all(type=call, pid=pid))
    return found


def _shown(value: Value, right: Mapping[str, Value]) -> str:
    """A wrong value in words: which of the two it is, or what else."""
    if value is None or value == b"":
        return "nothing"
    if any(matches(value, known) for known in right.values()):
        return "the other"
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _numbers(which: Sequence[int]) -> str:
    """As words: the first of them, whose events are in the bundle."""
    shown = ", ".join(map(str, which[:_SHOWN]))
    return f"in try {shown}{', ...' if len(which) > _SHOWN else ''}"


def _counted(values: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{text} ({times})" for text, times in values)
