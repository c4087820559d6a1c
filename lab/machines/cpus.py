"""Which of the host's CPUs each of a guest's may use, so that they can run at the same time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Sequence


def shares(count: int, usable: Collection[int]) -> list[set[int]]:
    """The host's CPUs, dealt out in turn to so many of a guest's; empty where there are fewer."""
    order = sorted(usable)
    return [set(order[number::count]) for number in range(count)] if len(order) >= count else []


def keep_apart(threads: Sequence[int]) -> None:
    """Let each of these threads run where none of the others does.

    Beside another machine the host's scheduler may leave two of them to one CPU for seconds: both have their due, and
    never at the same time.
    """
    for thread, share in zip(threads, shares(len(threads), os.sched_getaffinity(0)), strict=False):
        # Whoever speaks next to a machine that ends here hears of it.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, share)
