"""What a driver must survive whether or not anything reads it: being taken out again."""

from __future__ import annotations

import pytest

from lab.drivers.deploy import Deployment
from lab.plugin.fixtures import PrintkFixture
from lab.scenario import answered, logged

pytestmark = pytest.mark.profile("smoke")


@pytest.mark.controls(
    logged("WARNING: CPU: 0 PID: 1 at lib/fake.c:1 fake+0x0/0x10"),
    answered("driver.loaded", True, word="still loaded"),
)
def test_taken_out_the_driver_is_gone_and_the_kernel_log_is_clean(driver: Deployment, printk: PrintkFixture) -> None:
    driver.unload()
    loaded = driver.loaded()
    assert not loaded, "taken out, it is still loaded"
    assert printk.splats() == []
