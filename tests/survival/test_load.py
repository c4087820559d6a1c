"""Load is there, or the scenario is unsupported."""

from __future__ import annotations

from typing import Any

import pytest

from lab.errors import UnsupportedError
from lab.survival.load import Load


class Busy:
    """An actor whose workers make so many rounds."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *words: str) -> dict[str, Any]:
        self.asked.append(words)
        return {"leader": 41, "workers": 2} if "start" in words else {"rounds": self._rounds}


def test_a_block_is_under_load_from_its_begin_to_its_end_and_its_rounds_are_recorded() -> None:
    busy, recorded = Busy(6), dict[str, object]()
    with Load(busy, recorded.__setitem__)(3):
        assert busy.asked == [("busy", "start", "2")]
    assert busy.asked[1:] == [("busy", "stop", "41")]
    assert recorded == {"load": {"workers": 2, "rounds": 6, "times": 3}}


@pytest.mark.parametrize(("rounds", "times"), [(0, 1), (1, 1), (5, 3)])
def test_a_load_that_came_to_little_is_unsupported(rounds: int, times: int) -> None:
    recorded = dict[str, object]()
    with (
        pytest.raises(UnsupportedError, match=f"in {times} times its 2 workers made {rounds} rounds"),
        Load(Busy(rounds), recorded.__setitem__)(times),
    ):
        pass
    assert recorded, "how little it was is not recorded"


def test_what_fails_under_load_is_what_is_told() -> None:
    busy, recorded = Busy(0), dict[str, object]()
    with pytest.raises(AssertionError, match="no longer"), Load(busy, recorded.__setitem__)():
        raise AssertionError("it no longer reports")
    assert len(busy.asked) == 1
