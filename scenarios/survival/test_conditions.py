"""What a driver must survive of the machine it runs on: other preemption, CPUs that go, clocks that are set, sleep."""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.machines.machine import Machine
from lab.scenario import missing, wrong
from lab.survival.conditions import Conditions
from lab.survival.survivor import Survivor, survived

ON_CPU_1 = {"type": "openat", "comm": "cat", "name": "/work/on-cpu-1"}


@pytest.mark.controls(*survived(), missing(**ON_CPU_1), wrong("leak", word="memory left behind"))
def test_a_cpu_goes_and_comes_back(
    survives: Survivor, machine: Machine, driver: Deployment, events: Events, conditions: Conditions
) -> None:
    with survives():
        driver.stop_consumer()
        conditions.cpu(1, on=False)
        survives.demand_reports()
        conditions.cpu(1, on=True)
        with events.capture() as seen:
            machine.run(["taskset", "-c", "1", "cat", "/work/on-cpu-1"], check=False)
        seen.one(**ON_CPU_1)
