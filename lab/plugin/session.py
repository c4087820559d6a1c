"""One pytest session's lab: cells provisioned once, scenarios planned, their verdicts kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import settings as lab_settings
from lab.arches import host
from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.drivers.manifest import default_driver, find_driver
from lab.errors import LabError, RequestError
from lab.kernels.resolve import KernelSource
from lab.machines.machine import Machine
from lab.machines.record import reap
from lab.matrix.cell import Cell, cells
from lab.matrix.forks import Forks, NoTemplateError
from lab.matrix.provision import Lab, Prepared
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
        self._forks: Forks | None = None
        self._prepared: dict[Cell, Prepared | LabError] = {}
        self.settings = _settings(config)
        self.resolved: list[str] = []
        self.planned: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.controls: dict[str, list[str]] = {}
        self.folder = Path(config.getoption("bundle_dir")) / time.strftime("run-%Y%m%d-%H%M%S")

    def cells(self) -> list[Cell]:
        """The cells that were asked for, or the defaults."""
        chosen = {name: self._config.getoption(name) for name in ("kernel", "arch", "driver")}
        return cells(
            chosen["kernel"] or self.settings.kernel,
            chosen["arch"] or host().name,
            chosen["driver"] or self.settings.driver or default_driver(),
        )

    @property
    def lab(self) -> Lab:
        if self._lab is None:
            reap(self.settings.run_dir)
            self._lab = Lab(self.settings, self.notice)
        return self._lab

    def start(self, prepared: Prepared, name: str, made: Callable[[Machine], None], *, boots: bool) -> Machine:
        """A running machine for the scenario of that name, booted when it must be; `made` is given it before it starts.

        A machine that fails on its way to a template is booted, so that it fails where its evidence is taken.
        """
        if self._config.getoption("vm") == "fork" and not boots:
            try:
                return self.forks.start(prepared, name, made)
            except NoTemplateError as error:
                self.notice(f"{error.what}: its scenarios are booted")
        machine = self.lab.machine(prepared, name)
        made(machine)
        machine.start()
        return machine

    @property
    def forks(self) -> Forks:
        if self._forks is None:
            self._forks = Forks(self.lab)
        return self._forks

    def check(self, cell: Cell) -> None:
        """RequestError when the cell asks for what does not exist. What merely cannot be reached shows later, as the
        verdict of that cell alone."""
        if cell.driver:
            find_driver(cell.driver)
        try:
            entry = KernelSource(self.lab.store, self.settings, self.notice).resolve(cell.kernel, cell.arch)
            self.resolved.append(f"{cell.slug}: kernel {entry.release} ({entry.version}, {entry.suite})")
        except RequestError:
            raise
        except LabError as error:
            self._prepared[cell] = error

    def prepare(self, cell: Cell) -> Prepared:
        """The cell with everything made for it. What failed once fails again with the same cause, at once."""
        if cell not in self._prepared:
            try:
                self._prepared[cell] = self.lab.prepare(cell)
            except LabError as error:
                self._prepared[cell] = error
        found = self._prepared[cell]
        if isinstance(found, LabError):
            raise found
        return found

    def notice(self, text: str) -> None:
        """Tell the user something while pytest has the terminal."""
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        capture: Any = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter is None or self._config.get_verbosity() < 0:
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"lab: {text}")

    def write_plan(self) -> None:
        """Write down what shall run, before anything does."""
        if self.planned:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "plan.json").write_text(json.dumps(self.planned, indent=1))

    def report(self, name: str, verdict: Verdict, reason: str) -> None:
        """Keep a scenario's verdict, in memory and on disk."""
        self.verdicts[name] = verdict
        row = {"scenario": name, "verdict": verdict, "reason": reason, "controls": self.controls.get(name, [])}
        with (self.folder / "results.jsonl").open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def _settings(config: pytest.Config) -> lab_settings.Settings:
    found = lab_settings.load()
    accel = config.getoption("accel")
    return found.model_copy(update={"accel": accel}) if accel else found
