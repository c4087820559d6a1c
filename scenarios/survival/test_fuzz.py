"""Whatever system calls a program without rights makes, the driver goes on and the kernel has nothing to say.

Source: falcosecurity/falco#3181 (a vsyscall oopsed the kernel), CVE-2019-8339; trinity and syzkaller for what to call.
"""

from __future__ import annotations

import pytest

from lab.plugin.fixtures import Actor
from lab.plugin.profiles import Profile
from lab.scenario import answered, wrong
from lab.survival.conditions import Conditions
from lab.survival.fuzz import Fuzz
from lab.survival.survivor import Survivor, survived
from lab.survival.trinity import Ran, Trinity

IDLE = {"seed": 1, "calls": 0, "rounds": 1, "died": 1, "hung": 0, "entries": {"syscall": 0}}


@pytest.mark.controls(*survived(), answered("actor.call", {"calls": 9, "refused": 8, "died": 1}, word="died"))
def test_calls_by_numbers_that_no_table_has_are_no_harm(survives: Survivor, actor: Actor) -> None:
    with survives():
        did = actor("call_numbers")
        assert not did["died"], f"{did['died']} processes died of a call that there is not: {did}"
        assert did["refused"] == did["calls"], f"not all were refused: {did}"


@pytest.mark.controls(*survived(), answered("actor.call", {"calls": 9, "died": ["poll"]}, word="poll"))
def test_counts_that_overflow_are_no_harm(survives: Survivor, actor: Actor) -> None:
    with survives():
        did = actor("huge_counts")
        assert not did["died"], f"processes died of {', '.join(did['died'])} with counts that the kernel refuses"
        assert did["calls"] >= 1000, f"of more than thousand calls were made {did['calls']}"


@pytest.mark.controls(
    *survived(),
    answered("actor.call", IDLE, word="calls were made"),
    wrong("oops", word="NULL pointer"),
    wrong("sleep", word="atomic"),
)
def test_calls_by_chance_are_no_harm(survives: Survivor, fuzz: Fuzz, profile: Profile, seed: int) -> None:
    with survives(f"the same again: --fuzz-seed {seed}", slack=16384):
        fuzz("wild", profile.pick(smoke=500, default=1000, full=1_000_000))


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), answered("actor.call", IDLE, word="calls were made"))
def test_tame_calls_by_chance_are_no_harm(survives: Survivor, fuzz: Fuzz, seed: int) -> None:
    """Calls that there are, with arguments of 32 bits: what is known of others must not hide what there is of these."""
    with survives(f"the same again: --fuzz-seed {seed}", slack=16384):
        fuzz("tame", 1_000_000)


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), answered("trinity.run", Ran(0, 0, 0), word="no calls"))
def test_trinity_is_no_harm(survives: Survivor, conditions: Conditions, trinity: Trinity, seed: int) -> None:
    """Its calls follow from the seed and from time, so that the same seed need not make the same of them."""
    with survives(f"the same again: --fuzz-seed {seed}", slack=32768):
        group = conditions.cgroup("trinity", pids=64, memory_mib=256)
        made = 0
        for number in range(5):
            ran = trinity.run(seed + number, 4000, group)
            assert ran.calls > 0, f"no calls were made: {ran}"
            made += ran.calls
        assert made >= 2000, f"{made} calls were made"
