"""A driver under load: of calls that are made as fast as they can be, what it delivers and what it says it dropped."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.drivers.deploy import Deployment
from lab.drivers.marks import Stream, mark_until_seen
from lab.errors import LabError
from lab.images.recipe import RECIPES
from lab.machines.machine import PAYLOAD, Machine
from lab.matrix.forks import Forks, started
from lab.matrix.provision import Lab, Prepared

# What is called, and the types of the events in which drivers report it.
KINDS = {"close": frozenset({"close"}), "open": frozenset({"open", "openat"})}

_PROGRAM = f"{PAYLOAD}/bin/lab-flood"
_DEADLINE = 60.0  # seconds on hardware
_NANO = 1_000_000_000


@dataclass(frozen=True)
class Flood:
    """`made` calls of one kind in `seconds`, which take `alone` seconds where nothing watches; `delivered` of them came
    to the host, the last `until` seconds after the first was made. `dropped` is what the driver says that it dropped
    meanwhile, of any process's events; None when it does not tell."""

    kind: str
    made: int
    seconds: float
    alone: float
    delivered: int
    until: float
    dropped: int | None

    @property
    def silent(self) -> int:
        """Events that came to nobody and that the driver does not own up to."""
        return max(0, self.made - self.delivered - (self.dropped or 0))


class Floods:
    """Floods of `calls` calls on one cell, which has a driver. `tell` is told what each showed."""

    def __init__(self, lab: Lab, prepared: Prepared, calls: int, tell: Callable[[str], None]) -> None:
        self._lab = lab
        self._prepared = prepared
        self._calls = calls
        self._tell = tell
        self._forks = Forks(lab)
        source = RECIPES / "programs" / "lab-flood.c"
        self._program = lab.program(source, prepared.cell.arch).read_bytes()

    def run(self, repeat: int) -> list[Flood]:
        """Each kind `repeat` times, in turns, each in a machine of its own."""
        found = []
        for number in range(1, repeat + 1):
            for kind in KINDS:
                flood = self._flood(kind)
                found.append(flood)
                came = f"{flood.delivered} of {flood.made} delivered, {flood.dropped} dropped"
                self._tell(f"{number} of {repeat}: {kind}, {came}")
        return found

    def _flood(self, kind: str) -> Flood:
        made: list[Machine] = []
        try:
            machine = started(self._lab, self._forks, self._prepared, "bench", made.append)
            machine.install(_PROGRAM, self._program)
            deployment = self._lab.deploy(machine, self._prepared)
            delivered, until, seconds, dropped = self._watched(deployment, kind)
            deployment.unload()
            _, alone = self._call(machine, kind)
        finally:
            for machine in made:
                machine.end()
        return Flood(kind, self._calls, seconds, alone, delivered, until, dropped)

    def _watched(self, deployment: Deployment, kind: str) -> tuple[int, float, float, int | None]:
        deployment.begin()
        before = deployment.counters()
        stream = Stream(deployment, deployment.consumer.order, start=deployment.machine.events.count())
        start = time.monotonic()
        pid, seconds = self._call(deployment.machine, kind)
        # Marks are made until each CPU's has come: while a ring is full, they are dropped as other events are.
        mark_until_seen(stream, f"/lab-{secrets.token_hex(4)}-flood")
        until = time.monotonic() - start
        counters = deployment.final_counters(before)
        delivered = sum(event.pid == pid and event.type in KINDS[kind] for event in stream.events)
        return delivered, until, seconds, counters.drops if counters else None

    def _call(self, machine: Machine, kind: str) -> tuple[int, float]:
        """The flood's process, and how many seconds it took."""
        said = machine.run([_PROGRAM, kind, str(self._calls)], deadline=_DEADLINE).text.split()
        if len(said) != 2 or not all(word.isdigit() for word in said):
            raise LabError(f"the flood printed {' '.join(said)[:100]!r}", hint="look at images/programs/lab-flood.c")
        return int(said[0]), int(said[1]) / _NANO
