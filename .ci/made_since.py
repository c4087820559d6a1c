# SPDX-License-Identifier: Apache-2.0
"""Print how many seconds the store spent on roots and builders, and on drivers, since the time given (epoch seconds).

An entry's folder is born when its making begins and its `entry.json` is written last, so the two dates are the time it
took. Makings that overlap (a driver's waits for its builder's) count once, as a root's.
"""

import subprocess
import sys
from pathlib import Path

from lab.settings import load

DRIVER_KINDS = {"driver", "program", "source"}


def born(folder: Path) -> float:
    """The folder's time of birth, which Python 3.11 does not tell; 0 where the file system keeps none."""
    return float(subprocess.run(["stat", "-c", "%.W", folder], capture_output=True, check=True).stdout)


def length(spans: list[tuple[float, float]]) -> float:
    """The time that the spans cover together."""
    total = end = 0.0
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


def main(since: float) -> None:
    """Read the store's entries and print two whole numbers."""
    roots: list[tuple[float, float]] = []
    drivers: list[tuple[float, float]] = []
    for record in (load().store / "entries").glob("*/*/entry.json"):
        span = (born(record.parent), record.stat().st_mtime)
        if span[0] >= since:
            (drivers if record.parent.parent.name in DRIVER_KINDS else roots).append(span)
    print(round(length(roots)), round(length(roots + drivers)) - round(length(roots)))  # noqa: T201


main(float(sys.argv[1]))
