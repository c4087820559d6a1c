"""The fixture `trials`: calls whose argument somebody changes meanwhile, and how often they are reported wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from lab.drivers.deploy import Deployment
from lab.drivers.expect import Expectations
from lab.errors import UnsupportedError
from lab.plugin.fixtures import Actor
from lab.plugin.session import Scenario
from lab.races.trials import Made, Rate, demand_right, demand_won, lost, rates, told

_ATTEMPTS = 3
# Where luck decides when an argument changes, that must be so many times before the kernel takes it and as many after,
# of few tries in a quarter of them. A change just once in sixteen tries left a driver that reads at the exit unseen.
_BY_LUCK, _LEAST = frozenset({"plain", "cold", "storm"}), 4
# Seconds on hardware: for what a racer does beside its trials, and for each of them.
_BASE, _EACH = 10.0, 0.01


class Trials:
    """What scenarios call. `sees` are the only calls that the driver looks at, all when it is empty; `tell` is given
    how often each call was reported wrong."""

    def __init__(self, actor: Actor, arch: str, sees: Sequence[str], tell: Callable[[list[Rate]], None]) -> None:
        self._actor = actor
        self._arch = arch
        self._sees = sees
        self._tell = tell

    def run(self, way: str, calls: Sequence[str], count: int, *, compat: bool = False) -> Made:
        """Make each of these calls `count` times while its argument changes in that way (scenarios/actors/race_ways.h).

        Those that this architecture has not, or the driver does not look at, are left out. A race that was not won
        often enough is run again. UnsupportedError where there are no 32-bit calls.
        """
        if compat and self._arch != "amd64":
            raise UnsupportedError(f"the racer makes no 32-bit calls on {self._arch}")
        left = [call for call in calls if not self._sees or call in self._sees]
        made = Made((), min(_LEAST, count // 4) if way in _BY_LUCK else 0)
        for _ in range(_ATTEMPTS):
            if left:
                words = ("racer", way, "32" if compat else "64", str(count), *left)
                more = told(self._actor(*words, deadline=_BASE + _EACH * count * len(left)))
                made = replace(made, trials=(*made.trials, *more))
                left = lost(made)
        return made

    def demand_right(self, made: Made, seen: Expectations) -> None:
        """Each report is of what the kernel acted on. UnsupportedError when that says nothing, the race being none."""
        __tracebackhide__ = True
        demand_won(made)
        found = rates(made.trials, seen)
        self._tell(found)
        demand_right(found)


@pytest.fixture
def trials(actor: Actor, deployment: Deployment, scenario: Scenario, record_property: Callable[..., None]) -> Trials:
    """Races by luck: `made = trials.run("plain", ["openat"], 20)` in a capture, then `trials.demand_right(made, seen)`.
    How often each call was reported wrong stands in results.jsonl."""

    def tell(found: list[Rate]) -> None:
        # Not what a control made of it.
        if not scenario.tape.replaying:
            record_property("races", [rate.facts() for rate in found])

    return Trials(actor, deployment.machine.spec.arch.name, deployment.mode.sees, tell)
