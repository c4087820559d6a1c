"""Actions under several drivers, each in a machine of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from lab.compare.actions import Action
from lab.compare.judge import Did, Sight, judge
from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.errors import LabError
from lab.images.recipe import RECIPES
from lab.machines.machine import PAYLOAD, Machine
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks, started
from lab.matrix.provision import Lab, Prepared

_SOURCE = RECIPES / "programs" / "lab-act.c"
_PROGRAM = f"{PAYLOAD}/bin/lab-act"
_IMPOSSIBLE = 3  # lab-act's status


@dataclass(frozen=True)
class Column:
    """One driver: what it made of each action, or why nothing can be said of it (`why`)."""

    driver: str
    sights: tuple[Sight, ...] = ()
    version: str = ""
    release: str = ""
    why: str = ""


@dataclass(frozen=True)
class Compared:
    """All drivers on one kernel, which is `request` as it was asked for."""

    request: str
    arch: str
    columns: tuple[Column, ...]

    @property
    def ran(self) -> tuple[Column, ...]:
        """The drivers of which something can be said."""
        return tuple(column for column in self.columns if not column.why)

    @property
    def title(self) -> str:
        """The architecture and the kernel, by its release once a machine had it."""
        releases = sorted({column.release for column in self.columns if column.release})
        return f"{self.arch}, kernel {', '.join(releases) or self.request}"


class Comparison:
    """Comparisons of drivers. `tell` is told what is being done."""

    def __init__(self, lab: Lab, actions: Sequence[Action], tell: Callable[[str], None]) -> None:
        self._lab = lab
        self._actions = actions
        self._tell = tell
        self._forks = Forks(lab)

    def run(self, cells: Sequence[Cell]) -> list[Compared]:
        """A column for each cell, those of one kernel together. What cannot be had, built or loaded is a column that
        says why."""
        kernels: dict[tuple[str, str], list[Cell]] = {}
        for cell in cells:
            kernels.setdefault((cell.kernel, cell.arch.name), []).append(cell)
        return [
            Compared(kernel, arch, tuple(self._column(cell) for cell in same))
            for (kernel, arch), same in kernels.items()
        ]

    def _column(self, cell: Cell) -> Column:
        try:
            column = self._done(self._lab.prepare(cell))
        except LabError as error:
            column = Column(cell.driver, why=error.what)
        self._tell(f"{cell.slug}: {column.why or 'done'}")
        return column

    def _done(self, prepared: Prepared) -> Column:
        provenance = prepared.driver.provenance if prepared.driver else {}
        with ExitStack() as stack:

            def made(machine: Machine) -> None:
                stack.callback(machine.end)

            machine = started(self._lab, self._forks, prepared, "compare", made)
            deployment = self._lab.deploy(machine, prepared)
            sights = self._sights(machine, deployment)
        return Column(prepared.cell.driver, sights, str(provenance.get("version", "")), prepared.kernel.release)

    def _sights(self, machine: Machine, deployment: Deployment) -> tuple[Sight, ...]:
        events = Events(deployment)
        program = self._lab.program(_SOURCE, machine.spec.arch)
        machine.install(_PROGRAM, program.read_bytes())
        with events.capture() as seen:
            done = [_do(machine, action) for action in self._actions]
        return tuple(judge(did, seen, deployment.mode.sees) for did in done)


def _do(machine: Machine, action: Action) -> Did:
    if action.arches and machine.spec.arch.name not in action.arches:
        return Did(action, None, why=f"there is no such thing on {machine.spec.arch.name}")
    ran = machine.run([_PROGRAM, action.name], check=False)
    if ran.status == _IMPOSSIBLE:
        return Did(action, None, why=ran.stderr.decode(errors="backslashreplace").strip())
    if ran.status != 0:
        raise LabError(f"lab-act {action.name} {ran.ended}: {ran.stderr[:200]!r}", hint=f"look at {_SOURCE.name}")
    return Did(action, told(ran.stdout))


def told(printed: bytes) -> dict[str, int]:
    """What lab-act printed; LabError when it is not that."""
    try:
        found: Any = json.loads(printed)
        values = {name: found[name] for name in ("pid", "result", "child")}
        if not all(isinstance(value, int) for value in values.values()):
            raise TypeError("of another type")
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(f"lab-act printed {printed[:100]!r}", hint=f"look at {_SOURCE.name}") from error
    return values
