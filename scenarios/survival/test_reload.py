"""What a driver must survive: being taken out and put back, again and again, while the machine works.

Source: falcosecurity/libs#1359 (the kernel module panicked when it was loaded again).
"""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.machines.machine import Machine
from lab.plugin.fixtures import PrintkFixture
from lab.plugin.profiles import Profile
from lab.scenario import altered, answered, logged, wrong
from lab.survival.load import Load
from lab.survival.survivor import Survivor, survived

AFTER = {"type": "openat", "comm": "cat", "name": "/etc/hostname"}


@pytest.mark.profile("smoke")
@pytest.mark.controls(
    logged("WARNING: CPU: 0 PID: 1 at lib/fake.c:1 fake+0x0/0x10"),
    answered("driver.loaded", True, word="loaded"),
    altered("name", **AFTER),
)
def test_loaded_unloaded_and_loaded_again_the_driver_works_and_the_kernel_log_is_clean(
    machine: Machine, driver: Deployment, events: Events, printk: PrintkFixture
) -> None:
    driver.unload()
    loaded = driver.loaded()
    assert not loaded, "unloaded, it is still loaded"
    driver.load()
    with events.capture() as seen:
        machine.run(["cat", "/etc/hostname"])
    seen.one(**AFTER)
    assert printk.splats() == []


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), wrong("leak", word="memory left behind"))
def test_loaded_and_unloaded_under_load_it_works_and_leaves_nothing(
    survives: Survivor, driver: Deployment, load: Load, profile: Profile
) -> None:
    cycles = profile.pick(smoke=1, default=1 if driver.mode.loads_itself else 2, full=100)
    with survives(f"cycles: {cycles}"), load(cycles):
        for _ in range(cycles):
            survives.take_out()
            survives.demand_loads("again under load")
