"""A run's folder: the plan, what each cell was made of, and what reported. Written by the plugin, read by reports."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import RequestError
from lab.matrix.verdict import Verdict, complete

PLAN, CELLS, RESULTS = "plan.json", "cells.json", "results.jsonl"
RUN = "run-"  # what runs' folders are called, with the time behind it, so that they sort by it
# These say more of the day than of the driver.
_AGAIN = (Verdict.MISSING, Verdict.ERROR, Verdict.LOST)


@dataclass(frozen=True)
class CellFacts:
    """What a cell was: as asked for, and what was found for it; empty where it was never found."""

    slug: str
    kernel: str
    arch: str
    driver: str
    release: str = ""
    version: str = ""
    origin: str = ""
    driver_version: str = ""
    compiler: str = ""
    acceleration: str = ""
    qemu: str = ""


@dataclass(frozen=True)
class Run:
    """A run as it can be reported: facts, verdicts and reasons by cell."""

    folder: Path
    cells: tuple[CellFacts, ...]
    verdicts: Mapping[str, Counter[Verdict]]
    reasons: Mapping[str, tuple[str, ...]]


def write_cells(folder: Path, cells: Mapping[str, CellFacts]) -> None:
    """Keep what is known of the cells, whole at any time."""
    part = folder / f"{CELLS}.part"
    part.write_text(json.dumps([asdict(facts) for facts in cells.values()], indent=1))
    part.replace(folder / CELLS)


def read_run(folder: Path) -> Run:
    """The run in that folder; RequestError when it is none."""
    try:
        planned: dict[str, str] = json.loads((folder / PLAN).read_text())
        cells = tuple(CellFacts(**facts) for facts in json.loads((folder / CELLS).read_text()))
        rows = _rows(folder / RESULTS)
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(
            f"{folder} is no run's folder: {error}", hint="name one that pytest left, lab-bundles/run-..."
        ) from error
    reported = {row["scenario"]: Verdict(row["verdict"]) for row in rows}
    verdicts: dict[str, Counter[Verdict]] = {}
    for name, verdict in complete(planned, reported).items():
        verdicts.setdefault(planned[name], Counter())[verdict] += 1
    return Run(folder, cells, verdicts, _reasons(planned, rows))


def finished(folder: Path) -> frozenset[str]:
    """The cells, by their slugs, of which the last run below that folder has a verdict for all that it planned, and
    none that another day may change. What is no run's folder is passed over: a run may have been killed at once."""
    found: set[str] = set()
    for path in sorted(folder.glob(f"{RUN}*")):
        with contextlib.suppress(RequestError):
            for cell, counts in read_run(path).verdicts.items():
                (found.discard if any(counts[verdict] for verdict in _AGAIN) else found.add)(cell)
    return frozenset(found)


def _rows(path: Path) -> list[dict[str, Any]]:
    # A run that was ended may have left half a line, which says nothing.
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _reasons(planned: Mapping[str, str], rows: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Why what did not pass did not, each cause once a cell, without what only hints and logs say."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row["reason"] and row["verdict"] not in (Verdict.PASSED, Verdict.GAP) and row["scenario"] in planned:
            first = str(row["reason"]).split("\nNext:")[0].split("\nLog:")[0].strip()
            found.setdefault(planned[row["scenario"]], {})[" ".join(first.split())] = None
    return {cell: tuple(reasons) for cell, reasons in found.items()}
