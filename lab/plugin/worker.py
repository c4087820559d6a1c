"""A worker's side of a distributed run (pytest-xdist): what its controller gave it, and its line to the controller.

The line is a channel of execnet's beside xdist's own. Both are one stream: what is sent before something of xdist's
is there before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab import arches
from lab.matrix.cell import Cell
from lab.plugin.plan import Plan

NOTICE, PLAN = "notice", "plan"
_KEY = "kernel-lab"
# The kernels are sent before the first scenario is.
_DEADLINE = 60.0


class Worker:
    """This process as a worker. It resolves nothing, and writes no plan and no results: its controller does."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.folder = Path(given["folder"])
        asked = {Cell(kernel, arches.find(arch), driver): option for kernel, arch, driver, option in given["cells"]}
        self.cells = list(asked)
        self.wrong = {cell: option for cell, option in asked.items() if option}
        self._line = given["line"]

    def notice(self, text: str) -> None:
        """Have the user told."""
        self._line.send((NOTICE, text))

    def plan(self, plan: Plan) -> None:
        """Hand in what was collected here."""
        self._line.send((PLAN, dict(plan.scenarios), plan.refused))

    def kernels(self) -> bytes:
        """The kernels of the cells, in their order, as the controller packed them (lab/kernels/transfer.py)."""
        packed: bytes = self._line.receive(_DEADLINE)
        return packed


def worker_of(config: pytest.Config) -> Worker | None:
    """This process as a worker, None where it is none."""
    given = getattr(config, "workerinput", {}).get(_KEY)
    return Worker(given) if given else None


def introduce(
    workerinput: dict[str, Any], folder: Path, cells: Sequence[Cell], wrong: Mapping[Cell, str], line: object
) -> None:
    """Put into a worker's input what `worker_of` finds there; `wrong` are those of live controls, each with its
    option."""
    asked = [(cell.kernel, cell.arch.name, cell.driver, wrong.get(cell, "")) for cell in cells]
    workerinput[_KEY] = {"folder": str(folder), "cells": asked, "line": line}
