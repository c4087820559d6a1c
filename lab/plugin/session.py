"""One pytest session's lab: cells provisioned once, scenarios planned, their verdicts kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
from lab.matrix.cell import Cell, cells, demand_one_tree
from lab.matrix.forks import Forks, started
from lab.matrix.provision import Lab, Prepared
from lab.matrix.runs import PLAN, RESULTS, CellFacts, write_cells
from lab.matrix.verdict import Verdict
from lab.plugin.tape import Tape


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
    controls: list[str] = field(default_factory=list)
    bundle: Path | None = None


class Session:
    """What the plugin keeps between hooks. The lab itself is made when the first scenario needs it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lab: Lab | None = None
        self._cells: list[Cell] = []
        self._forks: Forks | None = None
        self._prepared: dict[Cell, Prepared | LabError] = {}
        self._choices: dict[Cell, Choice] = {}
        self._facts: dict[str, CellFacts] = {}
        self._told: set[str] = set()
        self.settings = _settings(config)
        self.resolved: list[str] = []
        self.planned: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.controls: dict[str, list[str]] = {}
        self.folder = Path(config.getoption("bundle_dir")) / time.strftime("run-%Y%m%d-%H%M%S")

    def cells(self) -> list[Cell]:
        """The cells that were asked for, or the defaults. An archive is read only for `all` and ranges of kernels."""
        if not self._cells:
            chosen = {name: self._config.getoption(name) for name in ("kernel", "arch", "driver")}
            self._cells = cells(
                chosen["kernel"] or self.settings.kernel,
                chosen["arch"] or host().name,
                chosen["driver"] or self.settings.driver or default_driver(),
                self._expand,
            )
            demand_one_tree(self._cells, self.settings.driver_src)
        return self._cells

    def _expand(self, text: str, arch: Arch) -> list[str]:
        return self.lab.kernels.expand(text, arch)

    @property
    def lab(self) -> Lab:
        if self._lab is None:
            reap(self.settings.run_dir)
            self._lab = Lab(self.settings, self.notice)
        return self._lab

    def start(self, prepared: Prepared, name: str, made: Callable[[Machine], None], *, boots: bool) -> Machine:
        """A running machine for the scenario of that name, forked or booted; `made` is given it before it starts."""
        forks = self.forks if self._config.getoption("vm") == "fork" and not boots else None
        return started(self.lab, forks, prepared, name, made)

    @property
    def forks(self) -> Forks:
        if self._forks is None:
            self._forks = Forks(self.lab)
        return self._forks

    def check(self, cell: Cell) -> None:
        """RequestError when the cell asks for what does not exist. What merely cannot be reached shows later, as the
        verdict of that cell alone."""
        if cell.driver:
            find_driver(cell.driver, Given.of(self.settings))
        self._facts[cell.slug] = CellFacts(cell.slug, cell.kernel, cell.arch.name, cell.driver)
        try:
            choice = self.lab.kernels.resolve(cell.kernel, cell.arch)
            self._choices[cell] = choice
            self._note(cell, release=choice.release, version=choice.version, origin=choice.origin)
            self.resolved.append(f"{cell.slug}: kernel {choice.release} ({choice.version}, {choice.origin})")
        except RequestError:
            raise
        except LabError as error:
            self._prepared[cell] = error

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
        made = self.lab.prepare(cell, self._choices.get(cell))
        self._note(
            cell,
            release=made.kernel.release,
            version=made.kernel.version,
            origin=made.kernel.origin,
            driver_version=str(made.driver.provenance.get("version", "")) if made.driver else "",
            compiler=str(made.driver.provenance.get("compiler", "")) if made.driver else "",
            acceleration=str(made.acceleration.kind),
            qemu=made.qemu.version,
        )
        write_cells(self.folder, self._facts)
        return made

    def _note(self, cell: Cell, **facts: str) -> None:
        self._facts[cell.slug] = replace(self._facts[cell.slug], **facts)

    def notice(self, text: str) -> None:
        """Tell the user something, once, while pytest has the terminal."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is None or self._config.get_verbosity() < 0 or text in self._told:
            return
        self._told.add(text)
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"lab: {text}")

    def write_plan(self) -> None:
        """Write down what shall run, before anything does."""
        if self.planned:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / PLAN).write_text(json.dumps(self.planned, indent=1))
            write_cells(self.folder, self._facts)

    def report(self, name: str, verdict: Verdict, reason: str) -> None:
        """Keep a scenario's verdict, in memory and on disk."""
        self.verdicts[name] = verdict
        row = {"scenario": name, "verdict": verdict, "reason": reason, "controls": self.controls.get(name, [])}
        with (self.folder / RESULTS).open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def _settings(config: pytest.Config) -> lab_settings.Settings:
    chosen = {name: config.getoption(name) for name in ("accel", "offline", "driver_src", "artifact")}
    return lab_settings.load().model_copy(update={name: value for name, value in chosen.items() if value})
