"""pytest, its workers and QEMU killed at random moments: the next run works and cleans up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.matrix.provision import Lab
from tests.support.kills import Arena, make_arena, make_blow


@pytest.fixture(scope="module")
def arena(lab: Lab, tmp_path_factory: pytest.TempPathFactory, figures: list[str]) -> Iterator[Arena]:
    made = make_arena(lab, tmp_path_factory.mktemp("arena"))
    yield made
    figures += made.told


def test_after_kill_9_at_a_random_moment_the_next_run_works_and_cleans_up(
    arena: Arena, kill: int, pytestconfig: pytest.Config
) -> None:
    arena.strike(make_blow(pytestconfig.getoption("seed"), kill))
    arena.demand_green()
