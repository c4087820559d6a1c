"""The fixtures of scenarios. Each scenario gets a machine of its own, with the driver of its cell deployed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.machines.machine import COMMAND_DEADLINE, PAYLOAD, Machine
from lab.matrix.cell import Cell
from lab.matrix.provision import Prepared
from lab.plugin.evidence_fixtures import PrintkFixture, bpftool, ftrace, printk
from lab.plugin.gaps import demand_seen
from lab.plugin.keeping import end_unless_kept
from lab.plugin.session import Scenario, Session
from lab.plugin.tape import Taped, TapedEvents

__all__ = [
    "PrintkFixture",
    "actor",
    "actors",
    "bpftool",
    "deployment",
    "driver",
    "events",
    "ftrace",
    "machine",
    "printk",
    "scenario",
]

SESSION = pytest.StashKey[Session]()
SCENARIO = pytest.StashKey[Scenario]()

Actor = Callable[..., dict[str, Any]]


@pytest.fixture
def scenario(request: pytest.FixtureRequest, cell: Cell) -> Scenario:
    """The running scenario, with its cell provisioned. For the lab's own fixtures."""
    session = request.config.stash[SESSION]
    scenario = Scenario(request.node.nodeid, cell, wrong=session.wrong.get(cell, ""))
    request.node.stash[SCENARIO] = scenario
    scenario.prepared = session.prepare(cell)
    demand_seen(request.node, scenario)
    return scenario


@pytest.fixture
def deployment(request: pytest.FixtureRequest, scenario: Scenario) -> Deployment:
    """A fresh machine with the cell's driver loaded. For the lab's own fixtures."""
    session = request.config.stash[SESSION]
    prepared = cast(Prepared, scenario.prepared)

    def made(machine: Machine) -> None:
        scenario.machine = machine
        # Not by a `with`: a machine that fails to start is looked at before it is ended.
        request.addfinalizer(lambda: end_unless_kept(request.config, machine))

    try:
        boots, parallel = (request.node.get_closest_marker(name) is not None for name in ("boots", "parallel"))
        machine = session.start(prepared, scenario.name, made, boots=boots, parallel=parallel)
        scenario.deployment = session.lab.deploy(machine, prepared)
    except Exception:
        raise
    except BaseException:
        # Ctrl-C while a fixture is made: pytest ends the session without this fixture's finalizers.
        if scenario.machine:
            scenario.machine.end()
        raise
    return scenario.deployment


@pytest.fixture
def machine(deployment: Deployment, scenario: Scenario) -> Machine:
    """The scenario's own guest, the driver deployed: `machine.run([...])`, `machine.write(path, data)`."""
    return cast(Machine, Taped(deployment.machine, scenario.tape, "machine"))


@pytest.fixture
def driver(deployment: Deployment, scenario: Scenario) -> Deployment:
    """The driver in this machine: `load()`, `unload()`, `loaded()`."""
    return cast(Deployment, Taped(deployment, scenario.tape, "driver"))


@pytest.fixture
def events(deployment: Deployment, scenario: Scenario) -> Events:
    """What the driver reports: `with events.capture() as seen: ...`, then `seen.one(...)`, `seen.none(...)`."""
    scenario.events = Events(deployment)
    return cast(Events, TapedEvents(scenario.events, scenario.tape, "events"))


class Actors:
    """The C programs of `folder` in one machine; `program` builds one."""

    def __init__(self, machine: Machine, folder: Path, program: Callable[[Path], Path]) -> None:
        self._machine, self._folder, self._program = machine, folder, program
        self._there: set[str] = set()

    def place(self, name: str) -> str:
        """Put one into the guest, once, and say where it is there: before a capture that shall not see it come."""
        path = f"{PAYLOAD}/bin/{name}"
        if name not in self._there:
            self._machine.install(path, self._program(self._folder / f"{name}.c").read_bytes())
            self._there.add(name)
        return path

    def run(self, name: str, *arguments: str, deadline: float = COMMAND_DEADLINE) -> dict[str, Any]:
        """Run one, so many seconds at most (on hardware); the JSON that it prints."""
        done = self._machine.run([self.place(name), *arguments], deadline=deadline)
        said: dict[str, Any] = json.loads(done.stdout)
        return said


@pytest.fixture
def actors(request: pytest.FixtureRequest, deployment: Deployment, scenario: Scenario) -> Actors:
    """The programs of `actors/` beside the scenarios, for this machine. For the lab's own fixtures."""
    lab, arch = request.config.stash[SESSION].lab, scenario.cell.arch
    return Actors(deployment.machine, _actors_of(request.path), lambda source: lab.program(source, arch))


@pytest.fixture
def actor(actors: Actors, scenario: Scenario) -> Actor:
    """Runs a C program of `actors/` beside the scenarios in the guest and returns the JSON that it prints."""
    return cast(Actor, Taped(actors.run, scenario.tape, "actor"))


def _actors_of(path: Path) -> Path:
    """The nearest folder `actors` beside or above a scenario file."""
    for folder in path.parents:
        if (folder / "actors").is_dir():
            return folder / "actors"
    return path.parent / "actors"
