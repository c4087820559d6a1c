"""The plan: which scenarios shall run, on which cell each, as they were collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest

from lab.matrix.cell import Cell
from lab.plugin.controls import controls_of

# Fixtures that need a cell: a test that uses one of them is a scenario.
CELL_FIXTURE = "cell"


@dataclass(frozen=True)
class Plan:
    """Scenarios by their ids, with their cells' slugs; `refused` is why nothing may run, empty where it may."""

    scenarios: Mapping[str, str]
    refused: str = ""


def plan_of(items: Iterable[pytest.Item]) -> Plan:
    """The plan of what was collected and not deselected. A scenario without controls is refused."""
    planned: dict[str, str] = {}
    for item in items:
        cell = cell_of(item)
        if cell is None:
            continue
        if not controls_of(item):
            return Plan({}, f"{item.nodeid} has no negative control: mark it with controls(...)")
        planned[item.nodeid] = cell.slug
    return Plan(planned)


def cell_of(item: pytest.Item) -> Cell | None:
    """The cell that a scenario runs on; None for other tests."""
    cell: Cell | None = item.callspec.params[CELL_FIXTURE] if is_scenario(item) else None  # type: ignore[attr-defined]
    return cell


def is_scenario(item: pytest.Item) -> bool:
    """Whether a test runs on a cell."""
    return isinstance(item, pytest.Function) and CELL_FIXTURE in item.fixturenames
