"""Whatever system calls a program without rights makes, the driver goes on and the kernel has nothing to say.

Source: falcosecurity/falco#3181 (a vsyscall oopsed the kernel), CVE-2019-8339; trinity and syzkaller for what to call.
"""

from __future__ import annotations

import pytest

from lab.plugin.fixtures import Actor
from lab.plugin.profiles import Profile
from lab.scenario import answered, wrong
from lab.survival.conditions import Conditions
from lab.survival.survivor import Survivor, survived

IDLE = {"seed": 1, "calls": 0, "rounds": 1, "died": 1, "hung": 0, "entries": {"syscall": 0}}
ONCE = 5000  # calls of one run, which has to end within a command's time


@pytest.mark.controls(
    *survived(),
    answered("actor.call", IDLE, word="calls were made"),
    wrong("oops", word="NULL pointer"),
    wrong("sleep", word="atomic"),
)
def test_calls_by_chance_are_no_harm(
    survives: Survivor, conditions: Conditions, actor: Actor, profile: Profile, seed: int
) -> None:
    calls = profile.pick(smoke=500, default=5000, full=1_000_000)
    with survives(f"the same again: --fuzz-seed {seed}", slack=16384):
        group = conditions.cgroup("fuzz", pids=64, memory_mib=192)
        made = 0
        for number, _ in enumerate(range(0, calls, ONCE)):
            done = actor("fuzz_calls", str(seed + number), str(min(calls, ONCE)), "8", group)
            made += done["calls"]
            idle = [name for name, count in done["entries"].items() if not count]
            assert done["calls"] > 100, f"no more calls were made than {done}"
            assert calls < ONCE or not idle, f"by no {', '.join(idle)} calls were made: {done}"
        assert made >= calls // 2, f"of {calls} calls were made {made} (seed {seed})"
