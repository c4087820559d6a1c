"""What a driver must survive of other programs: those that take all memory, all processes, all threads."""

from __future__ import annotations

import signal

import pytest

from lab.drivers.capture import Events
from lab.errors import UnsupportedError
from lab.plugin.fixtures import Actor, PrintkFixture
from lab.plugin.profiles import Profile
from lab.scenario import altered, missing, wrong
from lab.survival.conditions import Conditions
from lab.survival.survivor import Survivor, survived

LEAKS = wrong("leak", word="memory left behind")
ENDED = {"type": "procexit", "comm": "eater", "status": int(signal.SIGKILL)}
# A guest's memory, and more than any has.
ALL = 64 << 20  # KiB


@pytest.mark.profile("full")
@pytest.mark.syscall("procexit")
@pytest.mark.controls(*survived(), altered("status", **ENDED), missing(**ENDED), LEAKS)
def test_a_process_that_eats_its_cgroups_memory_is_killed_and_reported(
    survives: Survivor, events: Events, conditions: Conditions, actor: Actor
) -> None:
    with survives():
        group = conditions.cgroup("eaten", pids=16, memory_mib=48)
        with events.capture() as seen:
            eater = actor("eater", group, str(ALL))
        if eater["signal"] != signal.SIGKILL:
            raise UnsupportedError(f"the kernel did not kill who ate too much: {eater}")
        seen.one(**ENDED, pid=eater["child"])


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), LEAKS)
def test_memory_may_run_out(survives: Survivor, printk: PrintkFixture, actor: Actor) -> None:
    with survives():
        eater = actor("eater", "-", str(ALL))
        if eater["signal"] != signal.SIGKILL or not printk.matching("Out of memory"):
            raise UnsupportedError(f"memory did not run out: {eater}")


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), LEAKS)
def test_a_fork_bomb_goes_off(survives: Survivor, conditions: Conditions, actor: Actor, profile: Profile) -> None:
    wanted = profile.pick(smoke=200, default=400, full=20000)
    bound = profile.pick(smoke=50, default=100, full=1000)
    with survives():
        group = conditions.cgroup("bomb", pids=bound)
        bomb = actor("fork_bomb", group, str(wanted), deadline=30)
        if not bomb["refused"] or bomb["most"] < bound // 2:
            raise UnsupportedError(f"the bomb did not come to its bound of {bound}: {bomb}")


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), LEAKS)
def test_there_may_be_ten_thousand_threads(
    survives: Survivor, conditions: Conditions, actor: Actor, profile: Profile
) -> None:
    wanted = profile.pick(smoke=200, default=500, full=10000)
    with survives(f"threads: {wanted}"):
        conditions.allow_tasks(max(32768, 2 * wanted))
        threads = actor("many_threads", str(wanted))
        if threads["at_once"] < wanted:
            raise UnsupportedError(f"the guest has no room for {wanted} threads (LAB_MEMORY_MIB): {threads}")
