"""Verdicts: what a scenario's run on a cell says, and what a whole run says from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum


class Verdict(StrEnum):
    """One scenario on one cell; the words are those of the design."""

    PASSED = "passed"
    FAILED = "failed"
    GAP = "gap"
    UNSUPPORTED = "unsupported"
    ERROR = "error"
    LOST = "lost"
    MISSING = "missing"


# A cell with none of these has shown nothing.
TELLING = frozenset({Verdict.PASSED, Verdict.FAILED, Verdict.GAP})


def complete(planned: Mapping[str, str], reported: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """A verdict for every planned scenario: what did not report is missing."""
    return {name: reported.get(name, Verdict.MISSING) for name in planned}


def tally(planned: Mapping[str, str], verdicts: Mapping[str, Verdict]) -> dict[str, Counter[Verdict]]:
    """How many of each verdict, by cell; `planned` is scenario -> cell."""
    counts: dict[str, Counter[Verdict]] = {}
    for name, cell in planned.items():
        counts.setdefault(cell, Counter())[verdicts[name]] += 1
    return counts


def silent_cells(counts: Mapping[str, Counter[Verdict]]) -> list[str]:
    """Cells in which nothing passed, failed or was a gap."""
    return [cell for cell, count in counts.items() if not any(count[verdict] for verdict in TELLING)]


def describe(count: Counter[Verdict]) -> str:
    """The counts of a cell in words, in the order of `Verdict`."""
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in Verdict if count[verdict]) or "nothing"


def worst(verdicts: Iterable[Verdict]) -> bool:
    """Whether any verdict keeps a run from being green."""
    return any(verdict not in (Verdict.PASSED, Verdict.GAP, Verdict.UNSUPPORTED) for verdict in verdicts)
