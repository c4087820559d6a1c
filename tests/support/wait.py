"""Waiting in tests: for a condition, with a deadline, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def until(ready: Callable[[], bool], what: str, deadline: float = 10.0) -> None:
    """Return as soon as `ready()` holds; AssertionError naming `what` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not ready():
        assert time.monotonic() < end, f"{what} did not happen within {deadline:g} s"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """Whether the process has ended: it is no more, or a zombie that nobody has asked for yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"
