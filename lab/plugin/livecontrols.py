"""Live controls (`--controls`): a scenario runs again under a driver that is built wrong, and must fail.

A scenario's `wrong("leak", word="memory")` names an option of a driver's manifest. Each cell whose driver's mode has
that option gets a cell beside it with the driver so built; only the scenarios that name the option run there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import pytest

from lab.drivers.manifest import find_driver
from lab.matrix.cell import Cell
from lab.plugin.controls import ControlFailedError, controls_of
from lab.plugin.plan import cell_of
from lab.scenario import Wrong


def wrong_cells(cells: Sequence[Cell]) -> dict[Cell, str]:
    """Beside each cell those of its driver's options, with the option's name."""
    found: dict[Cell, str] = {}
    for cell in cells:
        if not cell.driver:
            continue
        chosen = find_driver(cell.driver)
        if chosen.options:
            continue
        name, _, mode = cell.driver.rpartition(":")
        for option in chosen.mode.options:
            found[dataclasses.replace(cell, driver=f"{name}+{option}:{mode}")] = option
    return {cell: option for cell, option in found.items() if cell not in cells}


def split(items: Iterable[pytest.Item], wrong: Mapping[Cell, str]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The items that run, and those on a wrong cell which no control of theirs asks for."""
    runs: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        cell = cell_of(item)
        option = wrong.get(cell) if cell else None
        unasked = option is not None and not _named(item, option)
        (others if unasked else runs).append(item)
    return runs, others


def count(item: pytest.Item, option: str, failure: BaseException) -> str:
    """The label of the control that a failure under the wrong driver proves; ControlFailedError when it proves none."""
    for control in _named(item, option):
        if control.named_in(str(failure)):
            return control.label
    raise ControlFailedError(
        f"built wrong ({option}) the scenario failed without naming what is wrong: {failure}"
    ) from failure


def unseen(option: str) -> ControlFailedError:
    """What it is that a scenario passes under a driver that is built wrong."""
    return ControlFailedError(f"built wrong ({option}) the driver passed: the scenario does not see it")


def _named(item: pytest.Item, option: str) -> list[Wrong]:
    return [control for control in controls_of(item) if isinstance(control, Wrong) and control.option == option]
