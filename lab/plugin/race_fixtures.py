"""The fixture `race`: a system call's argument changed from outside, at a moment that the scenario chooses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from lab.debugging.symbols import NoSymbolError
from lab.drivers.deploy import Deployment
from lab.errors import UnsupportedError
from lab.plugin.debug_fixtures import known_symbols
from lab.plugin.fixtures import SESSION
from lab.plugin.session import Scenario
from lab.plugin.tape import Taped
from lab.races.race import SOURCE, Made, Race
from lab.races.schedule import Buffer, Swapped


class ScenarioRace(Race):
    """A race in a scenario: what this kernel has no place for makes the scenario unsupported."""

    def call(self, name: str, *, at: str) -> Made:
        try:
            return super().call(name, at=at)
        except NoSymbolError as error:
            raise UnsupportedError(error.what, hint=error.hint) from error


class TapedRace(Taped):
    """The fixture on tape: what came of a change is filled in when its block ends."""

    @contextmanager
    def swap(self, call: str, buffer: Buffer, new: bytes, **how: Any) -> Iterator[Swapped]:
        if self._tape.replaying:
            swapped = Swapped()
            yield swapped
            vars(swapped).update(vars(self._tape.play("race.swap")))
            return
        with self._target.swap(call, buffer, new, **how) as live:
            yield live
        self._tape.record("race.swap", live)


@pytest.fixture
def race(request: pytest.FixtureRequest, deployment: Deployment, scenario: Scenario) -> Race:
    """Races whose winner is chosen: `with race.swap("openat", buffer, new, at="after-kernel-copy"): actor(...)`; of
    the lab's own calls `race.call("openat", at="after-kernel-copy")`."""
    machine, lab = deployment.machine, request.config.stash[SESSION].lab

    def program() -> bytes:
        return lab.program(SOURCE, machine.spec.arch).read_bytes()

    made = ScenarioRace(machine, lambda: known_symbols(request.config, machine), program)
    return cast(Race, TapedRace(made, scenario.tape, "race"))
