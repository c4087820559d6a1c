"""What a driver must survive: being taken out and put back."""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.machines.machine import Machine
from lab.plugin.fixtures import PrintkFixture
from lab.scenario import altered, answered, logged

pytestmark = pytest.mark.profile("smoke")

AFTER = {"type": "openat", "comm": "cat", "name": "/etc/hostname"}


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
