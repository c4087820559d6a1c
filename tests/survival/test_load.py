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


def test_a_block_is_under_load_from_its_begin_to_its_end() -> None:
    busy = Busy(2)
    with Load(busy)():
        assert busy.asked == [("busy", "start", "2")]
    assert busy.asked[1:] == [("busy", "stop", "41")]


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_load_that_came_to_nothing_is_unsupported(rounds: int) -> None:
    with pytest.raises(UnsupportedError, match=f"2 workers made {rounds} rounds"), Load(Busy(rounds))():
        pass


def test_what_fails_under_load_is_what_is_told() -> None:
    busy = Busy(0)
    with pytest.raises(AssertionError, match="no longer"), Load(busy)():
        raise AssertionError("it no longer reports")
    assert len(busy.asked) == 1
