"""Forks by the hundred leave nothing on the host, and their template as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from tests.support.soak import Soak, make_soak


@pytest.fixture
def soak(lab: Lab, forked: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: list[str]) -> Iterator[Soak]:
    made = make_soak(lab, forked, tmp_path, monkeypatch)
    yield made
    figures += made.figures


def test_forks_in_a_row_leave_nothing(soak: Soak, pytestconfig: pytest.Config) -> None:
    soak.in_a_row(pytestconfig.getoption("forks"))


def test_forks_at_the_same_time_leave_nothing(soak: Soak, pytestconfig: pytest.Config) -> None:
    soak.at_once(pytestconfig.getoption("rounds"))
