"""The fixtures of what a driver must survive: `conditions`, `fuzz`, `load`, `memory`, `provoke`, `seed`, `survives`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.evidence.bpftool import Bpftool
from lab.machines.machine import Machine
from lab.plugin.evidence_fixtures import PrintkFixture
from lab.plugin.fixtures import SESSION, Actor
from lab.plugin.session import Scenario
from lab.plugin.tape import Taped
from lab.survival.conditions import Conditions
from lab.survival.fuzz import Fuzz
from lab.survival.load import Load
from lab.survival.memory import MemoryOf
from lab.survival.provoked import Provoked
from lab.survival.survivor import Survivor
from lab.survival.trinity import Trinity, program


@pytest.fixture
def conditions(deployment: Deployment, scenario: Scenario) -> Conditions:
    """Conditions of the guest, each set and read back: `conditions.preemption("full")`, `conditions.cpu(1, on=False)`;
    one that does not hold makes the scenario unsupported."""
    return cast(Conditions, Taped(Conditions(deployment.machine), scenario.tape, "conditions"))


@pytest.fixture
def load(actor: Actor, record_property: Callable[[str, object], None]) -> Load:
    """`with load(): ...`: workers make calls in the block, or the scenario is unsupported."""
    return Load(actor, record_property)


@pytest.fixture
def memory(deployment: Deployment, scenario: Scenario) -> MemoryOf:
    """What the guest's kernel holds of memory: `memory.now()`, `memory.orphans(places)`."""
    return cast(MemoryOf, Taped(MemoryOf(deployment.machine), scenario.tape, "memory"))


@pytest.fixture
def provoke(deployment: Deployment, scenario: Scenario) -> Provoked:
    """Against its will: `provoke.kill_consumer()`, `.second_consumer()`, `.load_again()`, `.unload_now()`."""
    return cast(Provoked, Taped(Provoked(deployment), scenario.tape, "provoke"))


@pytest.fixture
def trinity(request: pytest.FixtureRequest, deployment: Deployment, scenario: Scenario) -> Trinity:
    """Debian's fuzzer of system calls: `trinity.run(seed, calls, group)`."""
    lab, machine = request.config.stash[SESSION].lab, deployment.machine

    def fetch() -> Path:
        return program(machine.spec.arch, lab.store, lab.settings, lab.notice)

    return cast(Trinity, Taped(Trinity(machine, fetch), scenario.tape, "trinity"))


@pytest.fixture
def seed(request: pytest.FixtureRequest, scenario: Scenario) -> int:
    """What chance follows from in this scenario: another each time, or that of `--fuzz-seed`."""
    scenario.seed = int(request.config.getoption("fuzz_seed") or secrets.randbelow(1 << 31) + 1)
    return scenario.seed


@pytest.fixture
def fuzz(actor: Actor, conditions: Conditions, seed: int, record_property: Callable[[str, object], None]) -> Fuzz:
    """System calls by chance: `fuzz("wild", 1000)`, `fuzz("tame", 1000)`."""
    return Fuzz(actor, lambda: conditions.cgroup("fuzz", pids=64, memory_mib=192), seed, record_property)


@pytest.fixture
def survives(
    deployment: Deployment,
    scenario: Scenario,
    machine: Machine,
    driver: Deployment,
    events: Events,
    memory: MemoryOf,
    printk: PrintkFixture,
) -> Survivor:
    """`with survives(): ...`: behind the block the driver reports, the kernel has not complained, and taken out the
    driver leaves nothing, no memory either."""

    def run(words: tuple[str, ...], seconds: float) -> bytes:
        # Without `lab exec`, as which `bpftool` would ask four times.
        deadline = seconds / deployment.machine.scaled(1.0)
        return deployment.machine.run(["bpftool", "-j", *words], check=False, deadline=deadline).stdout

    bpftool = Taped(Bpftool(deployment.machine, run), scenario.tape, "bpftool")
    return Survivor(machine, driver, events, cast(Bpftool, bpftool), memory, printk)
