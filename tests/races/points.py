"""Calls and captures as races give them."""

from __future__ import annotations

from typing import Any

from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Event
from lab.races.judge import expected
from lab.races.race import Made
from lab.races.windows import Window

PID = 4711


def made(name: str = "openat", at: Window = Window.AFTER_COPY, **changes: Any) -> Made:
    """A call that did what it should."""
    fields = {"name": name, "window": at, "pid": PID, "result": 3, "acted": expected(at), "where": "f", "seconds": 1.0}
    return Made(**{**fields, **changes})


def event(kind: str = "openat", pid: int = PID, **params: Any) -> Event:
    return Event(kind, 1, 0, pid, pid, 1, b"lab-race", b"", 3, params)


def capture(*events: Event, drops: int = 0) -> Capture:
    """A capture that is over."""
    return Capture(events=events, counters=Counters(len(events), drops), closed=True)
