"""What kernels that check themselves find in a driver: memory that it leaks, or touches and must not, or does not get.

They are the lab's own: lab kernel build 6.12+fault+kasan+kmemleak+lockdep.
"""

from __future__ import annotations

import contextlib

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.errors import ConsumerError, UnsupportedError
from lab.evidence.faults import Faults
from lab.evidence.kmemleak import Kmemleak
from lab.plugin.fixtures import Actor
from lab.scenario import answered, logged, wrong
from lab.survival.conditions import Conditions
from lab.survival.load import Load
from lab.survival.provoked import Came, Provoked
from lab.survival.survivor import Survivor, survived

MUCH = 65536  # KiB: these kernels keep what was freed, to see whether it is used
# Each of the first allocations of insmod's, then fewer of those that follow: a module's own begin behind 50 or so.
FAILING = (*range(1, 120, 2), *(2**power for power in range(7, 13)))


@pytest.mark.profile("full")
@pytest.mark.controls(
    answered("kmemleak.leaks", ["8192 bytes in tap_init"], word="8192 bytes"), wrong("leak", word="leaked")
)
def test_read_and_taken_out_it_leaks_nothing(
    driver: Deployment, events: Events, load: Load, kmemleak: Kmemleak
) -> None:
    events.begin()
    with load():
        driver.unload()
        driver.load()
        events.begin()
    driver.unload()
    leaks = kmemleak.leaks()
    assert not leaks, f"it leaked {', '.join(map(str, leaks))}"


@pytest.mark.profile("full")
@pytest.mark.controls(*survived())
def test_it_touches_no_memory_that_is_not_its_own(
    survives: Survivor, driver: Deployment, conditions: Conditions, load: Load, actor: Actor, seed: int
) -> None:
    with survives(f"the same again: --fuzz-seed {seed}", slack=MUCH):
        conditions.checked_memory()
        with load(3):
            for _ in range(3):
                driver.unload()
                survives.demand_loads("under load")
        # Few, and no bound of memory: kernels that check themselves are built without one (CONFIG_MEMCG).
        group = conditions.cgroup("fuzz", pids=16)
        for number in range(4):
            actor("fuzz_calls", str(seed + number), "2000", "8", group, "wild")


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), answered("provoke.load_failing", Came(0, "was loaded"), word="every"))
def test_it_is_loaded_whole_or_not_at_all_when_memory_is_short(
    survives: Survivor, driver: Deployment, provoke: Provoked
) -> None:
    with survives(slack=MUCH):
        driver.unload()
        refused = sum(provoke.load_failing(nth).status != 0 for nth in FAILING)
        assert refused, "it was loaded every time: no allocation failed"
        survives.demand_loads("after its allocations failed")


@pytest.mark.profile("full")
@pytest.mark.controls(
    *survived(), answered("faults.injected", [], word="no allocation"), logged("WARNING: CPU: 0 PID: 1")
)
def test_a_consumer_that_gets_no_memory_from_it_is_no_harm_to_the_next(
    survives: Survivor, events: Events, driver: Deployment, provoke: Provoked, faults: Faults
) -> None:
    if not driver.mode.module:
        raise UnsupportedError("it is no kernel module, and allocations are let fail by the module that makes them")
    with survives(slack=MUCH):
        provoke.kill_consumer()
        faults.allocations(driver.mode.module, times=2)
        with contextlib.suppress(ConsumerError):  # it may say so, which is right
            events.begin()
        faults.stop()
        injected = faults.injected()
        assert injected, "no allocation failed"
        provoke.kill_consumer()
        events.begin()
