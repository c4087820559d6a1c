"""The table of what a driver does on which kernel, from runs: docs/compatibility.md. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from debian.debian_support import Version

from lab.arches import ARCHES
from lab.matrix.runs import CellFacts, Run
from lab.matrix.verdict import Verdict, describe

_NEVER = "never run"
_ACCELERATIONS = ("tcg", "kvm")
_REASON_LENGTH = 400


@dataclass(frozen=True)
class _Box:
    """One cell of the matrix as it is printed."""

    facts: CellFacts
    counts: Counter[Verdict]
    reasons: tuple[str, ...]


def compatibility(runs: Sequence[Run], *, date: str) -> str:
    """Markdown: a table a driver, a row a kernel, a column an architecture and acceleration. A later run's cell takes
    an earlier one's place; what no run holds is "never run"."""
    boxes = _boxes(runs)
    drivers = sorted({box.facts.driver for box in boxes})
    parts = [f"# Compatibility\n\nMade by `lab matrix report` on {date}; no line of it is written by hand.\n"]
    parts += [_driver(driver, [box for box in boxes if box.facts.driver == driver]) for driver in drivers]
    return "\n".join(parts)


def _boxes(runs: Iterable[Run]) -> list[_Box]:
    found: dict[tuple[str, str, str, str], _Box] = {}
    for run in runs:
        for facts in run.cells:
            if facts.slug in run.verdicts:
                key = (facts.driver, facts.kernel, facts.arch, facts.acceleration or "tcg")
                found[key] = _Box(facts, run.verdicts[facts.slug], run.reasons.get(facts.slug, ()))
    return list(found.values())


def _driver(driver: str, boxes: list[_Box]) -> str:
    versions = sorted({box.facts.driver_version for box in boxes if box.facts.driver_version})
    # A driver whose sources lie in a folder has the tree's own.
    version = f"Version {', '.join(versions)}" if versions else "Of this tree"
    qemus = sorted({box.facts.qemu for box in boxes if box.facts.qemu})
    columns = [(arch.name, kind) for kind in _ACCELERATIONS for arch in ARCHES]
    notes: list[str] = []
    lines = [
        f"## {driver}\n",
        f"{version}; QEMU {', '.join(qemus) or 'unknown'}. Numbers in brackets are causes, below.\n",
        "| kernel | " + " | ".join(f"{arch}, {kind}" for arch, kind in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for kernel in sorted({box.facts.kernel for box in boxes}, key=_order, reverse=True):
        row = {(box.facts.arch, box.facts.acceleration or "tcg"): box for box in boxes if box.facts.kernel == kernel}
        cells = [_text(row.get(column), notes) for column in columns]
        lines.append(f"| {kernel} | " + " | ".join(cells) + " |")
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, start=1)), ""]
    return "\n".join(lines)


def _text(box: _Box | None, notes: list[str]) -> str:
    """What stands in one field; its causes are added to `notes`, each once."""
    if box is None:
        return _NEVER
    marks = []
    for reason in box.reasons:
        # A compiler shows the source's line behind its error.
        reason = re.split(r" \d+ \| ", reason)[0]  # noqa: PLW2901
        note = _escaped(reason[:_REASON_LENGTH] + ("..." if len(reason) > _REASON_LENGTH else ""))
        if note not in notes:
            notes.append(note)
        marks.append(f"[{notes.index(note) + 1}]")
    where = box.facts.origin.removeprefix("debian:")
    version = f"{box.facts.version} ({where}): " if box.facts.version else ""
    return " ".join([f"{version}{describe(box.counts)}", *marks])


def _escaped(text: str) -> str:
    """Text in which Markdown finds no table, no markup and no link, and nobody a mirror of somebody's."""
    text = re.sub(r"(?: at)? https?://\S+", "", text)
    text = re.sub(r"'(?:[a-z0-9-]+\.)+[a-z]{2,}'", "its host", text)
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text)


def _order(kernel: str) -> tuple[str, Version]:
    """Distributions apart, then by the number in the request."""
    where, _, name = kernel.rpartition("/")
    number = re.search(r"\d+(\.\d+)*", name)
    return (where, Version(number.group(0) if number else "0"))
