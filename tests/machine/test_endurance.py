"""In short what tests/endurance does at length: many forks, and runs that are killed."""

from __future__ import annotations

import secrets
from collections import Counter
from pathlib import Path

import pytest

from lab import arches
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from tests.support.kills import Arena, make_arena, make_blow
from tests.support.soak import Soak, make_soak

IN_A_ROW, ROUNDS, KILLS = 12, 3, 1
SEED = secrets.randbelow(1 << 32)  # a failure names it, and `make endurance` takes it


@pytest.fixture
def soak(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Soak:
    return make_soak(lab, Cell(lab.settings.kernel, arches.AMD64, "falco:kmod"), tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def arena(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return make_arena(lab, tmp_path_factory.mktemp("arena"))


def test_what_a_running_fork_has_on_the_host_is_seen(soak: Soak) -> None:
    nothing = soak.traces()
    assert (nothing.processes, nothing.sockets, nothing.files) == ((), (), ())
    with soak.fork():
        seen = soak.traces()
        assert len(seen.processes) == 1
        assert "qemu-system" in seen.processes[0]
        assert len(seen.sockets) >= 4, "one for each endpoint"
        assert len(seen.ports) == len(nothing.ports) + 1, "the one for SSH"
        assert any(path.endswith("/record.json") for path in seen.files)
        # What the tests before this one left to be closed may be closed meanwhile.
        assert Counter(seen.descriptors) - Counter(nothing.descriptors)
        assert Counter(seen.threads) - Counter(nothing.threads)


@pytest.mark.slow
def test_forks_in_a_row_leave_nothing(soak: Soak) -> None:
    soak.in_a_row(IN_A_ROW)


@pytest.mark.slow
def test_forks_at_the_same_time_leave_nothing(soak: Soak) -> None:
    soak.at_once(ROUNDS)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, KILLS + 1))
def test_after_kill_9_at_a_random_moment_the_next_run_works_and_cleans_up(arena: Arena, number: int) -> None:
    arena.strike(make_blow(SEED, number))
    arena.demand_green()
