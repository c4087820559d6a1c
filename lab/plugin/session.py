"""One pytest process's lab: its cells, resolved once and provisioned once, and the machines of its scenarios."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import settings as lab_settings
from lab.arches import Arch, host
from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.drivers.manifest import Given, default_driver, find_driver
from lab.errors import LabError, RequestError
from lab.kernels.kernel import Choice
from lab.machines.machine import Machine
from lab.machines.record import reap
from lab.matrix.cell import Cell, cells, demand_one_tree, left
from lab.matrix.forks import Forks, started
from lab.matrix.provision import Lab, Prepared
from lab.matrix.runs import RUN
from lab.plugin.livecontrols import wrong_cells
from lab.plugin.tape import Tape
from lab.plugin.worker import Worker, worker_of


@dataclass
class Scenario:
    """One scenario while it runs: what it has, for evidence and for its controls."""

    name: str
    cell: Cell
    prepared: Prepared | None = None
    machine: Machine | None = None
    deployment: Deployment | None = None
    events: Events | None = None
    tape: Tape = field(default_factory=Tape)
    seed: int | None = None  # what its chance followed from, if it has any
    wrong: str = ""  # the option by which the cell's driver is built wrong, for a live control
    controls: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)  # of some of its variants: the others passed
    bundle: Path | None = None


class Session:
    """What the plugin keeps between hooks. The lab itself is made when the first scenario needs it.

    In a worker of a distributed run (`worker` is set) cells and kernels are the controller's, and notices go there.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lab: Lab | None = None
        self._forks: Forks | None = None
        self._cells: list[Cell] = []
        self._wrong: dict[Cell, str] = {}
        self._resolved: dict[Cell, Choice | LabError] = {}
        self._prepared: dict[Cell, Prepared | LabError] = {}
        self._told: set[str] = set()
        self._telling = threading.Lock()
        self.settings = _settings(config)
        self.worker: Worker | None = worker_of(config)
        self.folder = (
            self.worker.folder
            if self.worker
            else Path(config.getoption("bundle_dir")) / time.strftime(f"{RUN}%Y%m%d-%H%M%S")
        )

    @property
    def asked(self) -> bool:
        """Were cells asked for on the command line?"""
        return any(self._config.getoption(name) for name in ("kernel", "arch", "driver"))

    def cells(self) -> list[Cell]:
        """The cells that were asked for, or the defaults, and with --controls those of drivers that are built wrong. An
        archive is read only for `all` and ranges of kernels."""
        if self.worker:
            return self.worker.cells
        if not self._cells:
            chosen = {name: self._config.getoption(name) for name in ("kernel", "arch", "driver")}
            self._cells = cells(
                chosen["kernel"] or self.settings.kernel,
                chosen["arch"] or host().name,
                chosen["driver"] or self.settings.driver or default_driver(),
                self._expand,
            )
            if self._config.getoption("resume"):
                self._cells = left(self._cells, self.folder.parent)
            demand_one_tree(self._cells, self.settings.driver_src)
            self._cells += self.wrong
        return self._cells

    @property
    def wrong(self) -> Mapping[Cell, str]:
        """The cells of live controls, with the option by which each one's driver is built wrong."""
        if self.worker:
            return self.worker.wrong
        if not self._wrong and self._config.getoption("controls"):
            self._wrong = wrong_cells(self._cells)
        return self._wrong

    def _expand(self, text: str, arch: Arch) -> list[str]:
        return self.lab.kernels.expand(text, arch)

    @property
    def lab(self) -> Lab:
        if self._lab is None:
            reap(self.settings.run_dir)
            self._lab = Lab(self.settings, self.notice)
        return self._lab

    def resolved(self) -> Mapping[Cell, Choice | LabError]:
        """The kernel of every cell, resolved once in a run; in its place the error where it merely cannot be reached,
        which is the verdict of that cell alone. RequestError when a cell asks for what does not exist."""
        if not self._resolved:
            chosen = self.cells()
            if self.worker:
                found = self.lab.kernels.unpack(self.worker.kernels())
            else:
                found = [self._resolve(cell) for cell in chosen]
            self._resolved = dict(zip(chosen, found, strict=True))
        return self._resolved

    def chosen(self) -> list[str]:
        """The kernels that were resolved, a line each, for the user."""
        return [
            f"{cell.slug}: kernel {found.release} ({found.version}, {found.origin})"
            for cell, found in self.resolved().items()
            if not isinstance(found, LabError)
        ]

    def packed(self) -> bytes:
        """The kernels as workers take them."""
        return self.lab.kernels.pack(list(self.resolved().values()))

    def _resolve(self, cell: Cell) -> Choice | LabError:
        if cell.driver:
            find_driver(cell.driver, Given.of(self.settings))
        try:
            return self.lab.kernels.resolve(cell.kernel, cell.arch)
        except RequestError:
            raise
        except LabError as error:
            return error

    def prepare(self, cell: Cell) -> Prepared:
        """The cell with everything made for it. What failed once fails again with the same cause, at once."""
        if cell not in self._prepared:
            try:
                self._prepared[cell] = self._prepare(cell)
            except LabError as error:
                self._prepared[cell] = error
        found = self._prepared[cell]
        if isinstance(found, LabError):
            raise found
        return found

    def _prepare(self, cell: Cell) -> Prepared:
        choice = self.resolved()[cell]
        if isinstance(choice, LabError):
            raise choice
        return self.lab.prepare(cell, choice)

    def start(
        self, prepared: Prepared, name: str, made: Callable[[Machine], None], *, boots: bool, parallel: bool = False
    ) -> Machine:
        """A running machine for the scenario of that name, forked or booted; `made` is given it before it starts."""
        forks = self.forks if self._config.getoption("vm") == "fork" and not boots else None
        return started(self.lab, forks, prepared, name, made, parallel=parallel)

    @property
    def forks(self) -> Forks:
        if self._forks is None:
            self._forks = Forks(self.lab)
        return self._forks

    def notice(self, text: str) -> None:
        """Tell the user something, once, while pytest has the terminal. Safe in any thread: workers' come in others."""
        if self._config.get_verbosity() < 0:
            return
        with self._telling:
            if text in self._told:
                return
            self._told.add(text)
            if self.worker:
                self.worker.notice(text)
            else:
                self._show(f"lab: {text}")

    def _show(self, line: str) -> None:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is None:
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            if self._config.get_terminal_writer().width_of_current_line:
                # Dots, or xdist's status: nothing that pytest knows as a line begun.
                reporter.write_line("")
            reporter.write_line(line)


def _settings(config: pytest.Config) -> lab_settings.Settings:
    chosen = {name: config.getoption(name) for name in ("accel", "offline", "driver_src", "artifact")}
    return lab_settings.load().model_copy(update={name: value for name, value in chosen.items() if value})
