"""Was what a driver reported what the kernel acted on? Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lab.drivers.event import Value
from lab.drivers.expect import Expectations, matches
from lab.races.race import Made
from lab.races.subjects import subject
from lab.races.windows import Window

# Until then the change comes before the kernel looks.
_IN_TIME = (Window.BEFORE_ENTRY, Window.BEFORE_COPY)


class Answer(StrEnum):
    """What a driver made of a changed argument."""

    RIGHT = "right"  # it reported what the kernel acted on
    MISLED = "misled"  # it reported something else
    UNTOLD = "untold"  # it reported no such call, or not that argument
    UNSUPPORTED = "unsupported"  # this kernel has no place for that change, or it did not do what it should


@dataclass(frozen=True)
class Point:
    """One change at one moment and what came of it; `why` explains what is neither right nor misled."""

    name: str
    window: Window
    answer: Answer
    acted: str = ""
    reported: str = ""
    where: str = ""
    why: str = ""
    seconds: float = 0.0


def judge(made: Made, seen: Expectations) -> Point:
    """The point that a call and a capture come to. AssertionError when the capture knows of drops."""
    wanted = subject(made.name)
    if made.acted != expected(made.window):
        why = f"changed {made.window}, and the kernel acted on {made.acted} (result {made.result})"
        return _point(made, Answer.UNSUPPORTED, why=why)
    of_it = _of(made)
    if seen.count(**of_it) != 1:
        return _point(made, Answer.UNTOLD, why=f"{len(seen.all(**of_it))} events of it came")
    event = seen.one(**of_it)
    value = event.value(wanted.param(event))
    if value is None:
        return _point(made, Answer.UNTOLD, why=f"its event has no {wanted.param(event)}")
    right = matches(value, wanted.reported[made.acted])
    return _point(made, Answer.RIGHT if right else Answer.MISLED, reported=_shown(value))


def expected(window: Window) -> str:
    """The object that the kernel acts on when the argument is changed then."""
    return "other" if window in _IN_TIME else "asked"


def demand_right(calls: Iterable[Made], seen: Expectations) -> None:
    """AssertionError that names the moments, in square brackets, at which a call was reported otherwise than the kernel
    acted, and says by what."""
    __tracebackhide__ = True
    wrong: dict[Window, str] = {}
    name = ""
    for made in calls:
        wanted, name = subject(made.name), made.name
        if made.acted != expected(made.window):
            raise AssertionError(f"{name} changed {made.window}: the kernel acted on {made.acted}")
        try:
            param = wanted.param(seen.one(**_of(made)))
            seen.one(**_of(made), **{param: wanted.reported[made.acted]})
        except AssertionError as error:
            wrong[made.window] = str(error)
    if wrong:
        lines = "".join(f"\n{window}: {message}" for window, message in wrong.items())
        raise AssertionError(f"{wanted.call} is reported wrong [{', '.join(wrong)}]{lines}")


def _of(made: Made) -> dict[str, Any]:
    """What its event is known by."""
    wanted = subject(made.name)
    return {"type": wanted.call, "pid": made.pid, "comm": set(wanted.comms)}


def _point(made: Made, answer: Answer, *, reported: str = "", why: str = "") -> Point:
    return Point(made.name, made.window, answer, made.acted, reported, made.where, why, made.seconds)


def _shown(value: Value) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
