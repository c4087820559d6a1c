"""Calls by chance are made run by run until there are enough of them; few, or by one path only, is a failure."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lab.survival.fuzz import Fuzz


class Caller:
    """An actor that makes at most so many calls a run."""

    def __init__(self, most: int, compat: int = 1) -> None:
        self._most, self._compat = most, compat
        self.runs: list[tuple[str, ...]] = []

    def __call__(self, *words: str) -> dict[str, Any]:
        self.runs.append(words)
        made = min(self._most, int(words[2]))
        return {"calls": made, "entries": {"syscall": made - self._compat, "int80": self._compat}}


def fuzzed(actor: Caller, calls: int) -> dict[str, Any]:
    recorded: dict[str, Any] = {}
    Fuzz(actor, lambda: "/sys/fs/cgroup/fuzz", 7, recorded.__setitem__)("wild", calls)
    return cast(dict[str, Any], recorded["fuzz"])


def test_it_runs_until_enough_were_made() -> None:
    actor = Caller(5000)
    assert fuzzed(actor, 12_000) == {
        "how": "wild",
        "seed": 7,
        "asked": 12_000,
        "calls": 12_000,
        "entries": {"syscall": 11_997, "int80": 3},
    }
    assert actor.runs[2] == ("fuzz_calls", "9", "2000", "8", "/sys/fs/cgroup/fuzz", "wild")
    assert [words[1:3] for words in actor.runs] == [("7", "5000"), ("8", "5000"), ("9", "2000")]


def test_a_slow_machine_makes_fewer_and_that_is_recorded() -> None:
    actor = Caller(2000)
    assert fuzzed(actor, 10_000)["calls"] == 8000
    assert len(actor.runs) == 4


@pytest.mark.parametrize(
    ("actor", "calls", "said"),
    [
        (Caller(99), 10_000, "no more calls were made than"),
        (Caller(101), 1_000_000, "of 1000000 calls were made 40400"),
        (Caller(5000, compat=0), 10_000, "by no int80 calls were made"),
    ],
)
def test_too_few_calls_are_a_failure(actor: Caller, calls: int, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        fuzzed(actor, calls)
