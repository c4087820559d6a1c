"""What a driver reported of an action, beside what is right. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lab.compare.actions import Action, Told
from lab.drivers.event import Event, Value
from lab.drivers.expect import Expectations, differences

_SHOWN = 60


class Answer(StrEnum):
    """What a driver made of an action."""

    ALL = "all"  # it reported it, with all that was asked for
    PARTLY = "partly"  # it reported it, and not everything
    OTHERWISE = "otherwise"  # it said something that is not so
    UNSEEN = "unseen"  # it did not report it
    UNKNOWN = "unknown"  # nothing came, but events were dropped
    BLIND = "blind"  # it does not look at such calls
    IMPOSSIBLE = "impossible"  # it cannot be done there


@dataclass(frozen=True)
class Did:
    """An action that was done, and what lab-act told of it; None where it could not be done, `why`."""

    action: Action
    told: Mapping[str, int] | None
    why: str = ""


@dataclass(frozen=True)
class Sight:
    """What one driver made of one action: what it left out (`untold`), and what it said instead (`otherwise`)."""

    action: str
    answer: Answer
    untold: tuple[str, ...] = ()
    otherwise: tuple[tuple[str, str], ...] = ()
    why: str = ""


def judge(did: Did, seen: Expectations, sees: Collection[str]) -> Sight:
    """What a capture holds of an action. `sees` are the only calls that the driver looks at; all when empty."""
    action = did.action
    if did.told is None:
        return Sight(action.name, Answer.IMPOSSIBLE, why=did.why)
    events = [event for event in seen.events if event.type in action.calls and event.pid == did.told[action.who.value]]
    if not events:
        return _nothing(action, seen, sees)
    expected = {name: _value(value, did.told) for name, value in action.expected.items()}
    # A program opens more than the one file.
    event = min(events, key=lambda event: len(differences(event, expected)))
    wrong = differences(event, expected)
    untold = tuple(name for name in wrong if _is_nothing(event.value(name)))
    otherwise = tuple((name, _shown(event.value(name))) for name in wrong if name not in untold)
    if otherwise and _is_another(event, expected):
        return _nothing(action, seen, sees)
    answer = Answer.OTHERWISE if otherwise else Answer.PARTLY if untold else Answer.ALL
    return Sight(action.name, answer, untold, otherwise)


def _nothing(action: Action, seen: Expectations, sees: Collection[str]) -> Sight:
    if sees and action.calls.isdisjoint(sees):
        return Sight(action.name, Answer.BLIND)
    if seen.counters is None or seen.counters.drops:
        return Sight(action.name, Answer.UNKNOWN, why="events were dropped, or nobody knows whether any were")
    return Sight(action.name, Answer.UNSEEN)


def _is_another(event: Event, expected: Mapping[str, Any]) -> bool:
    """Whether the nearest event is that of another call of the same kind: nothing in it is as expected."""
    return len(differences(event, dict(expected))) == len(expected) and len(expected) > 1


def _value(value: Any, told: Mapping[str, int]) -> Any:
    return told[value.value] if isinstance(value, Told) else value


def _is_nothing(value: Value) -> bool:
    return value is None or value == b""


def _shown(value: Value) -> str:
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    if isinstance(value, frozenset):
        text = "|".join(sorted(value))
    if isinstance(value, tuple):
        text = " ".join(_shown(item) for item in value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)})"
