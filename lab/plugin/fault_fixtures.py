"""The fixtures `kmemleak` and `faults`: what kernels for debugging find, and what they let fail."""

from __future__ import annotations

from typing import cast

import pytest

from lab.drivers.deploy import Deployment
from lab.evidence.faults import Faults
from lab.evidence.kmemleak import Kmemleak
from lab.matrix.provision import Prepared
from lab.plugin.session import Scenario
from lab.plugin.tape import Taped


@pytest.fixture
def kmemleak(deployment: Deployment, scenario: Scenario) -> Kmemleak:
    """The kernel's leak detector: `kmemleak.leaks()`; unsupported, naming a kernel that has it, on those without."""
    made = Kmemleak(deployment.machine, cast(Prepared, scenario.prepared).kernel)
    return cast(Kmemleak, Taped(made, scenario.tape, "kmemleak"))


@pytest.fixture
def faults(deployment: Deployment, scenario: Scenario) -> Faults:
    """Failures on request: `faults.allocations("tap")`, `faults.function("name", -12)`, then `faults.injected()`;
    unsupported, naming a kernel that has them, on those without."""
    made = Faults(deployment.machine, cast(Prepared, scenario.prepared).kernel)
    return cast(Faults, Taped(made, scenario.tape, "faults"))
