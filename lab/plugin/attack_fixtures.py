"""The fixtures `containers` and `tamper`: what attacks need beside the guest itself."""

from __future__ import annotations

from typing import cast

import pytest

from lab.drivers.deploy import Deployment
from lab.drivers.tamper import Tampering
from lab.machines.containers import Containers
from lab.plugin.session import Scenario
from lab.plugin.tape import Taped


@pytest.fixture
def containers(deployment: Deployment, scenario: Scenario) -> Containers:
    """Real containers in this machine: `box = containers.start("web")`, `containers.run(box, ["id"])`."""
    return cast(Containers, Taped(Containers(deployment.machine), scenario.tape, "containers"))


@pytest.fixture
def tamper(deployment: Deployment, scenario: Scenario) -> Tampering:
    """What root can do to eBPF programs: `tamper.maps(kind=...)`, `.delete(map, keys)`, `.zero(...)`, ..."""
    return cast(Tampering, Taped(Tampering(deployment.machine), scenario.tape, "tamper"))
