# SPDX-License-Identifier: Apache-2.0
"""Print the seconds that the store spent on roots and builders, drivers, and templates since a time (in epoch seconds).

An entry's folder is born when its making begins and its `entry.json` is written last, so the two dates are the time it
took. Makings that overlap (a driver's waits for its builder's) count once, as the first kind's.
"""

import subprocess
import sys
from itertools import chain, pairwise
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
    """Read the store's entries and print three whole numbers."""
    spans: list[list[tuple[float, float]]] = [[], [], []]
    for record in (load().store / "entries").glob("*/*/entry.json"):
        span = (born(record.parent), record.stat().st_mtime)
        if span[0] >= since:
            kind = record.parent.parent.name
            spans[2 if kind == "template" else 1 if kind in DRIVER_KINDS else 0].append(span)
    upto = [round(length(list(chain(*spans[:count])))) for count in range(4)]
    print(*(after - before for before, after in pairwise(upto)))  # noqa: T201


main(float(sys.argv[1]))
