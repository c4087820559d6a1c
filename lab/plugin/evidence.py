"""From a scenario's failure to its verdict, its message and its bundle; and its reports, which carry them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.drivers.manifest import Given
from lab.errors import LabError, MachineLostError
from lab.evidence.bundle import Failure, write_bundle
from lab.evidence.symbols import symbols_of
from lab.matrix.cell import Cell
from lab.matrix.provision import Prepared
from lab.matrix.verdict import Verdict
from lab.plugin.fixtures import SESSION
from lab.plugin.keeping import keep
from lab.plugin.session import Scenario

# Names of properties in reports; a scenario may record properties of its own.
_OWN = "lab."
_OUTCOME, _MADE_OF = f"{_OWN}outcome", f"{_OWN}made_of"


@dataclass(frozen=True)
class Outcome:
    """What a report says of its scenario. It travels between processes: plain types only."""

    verdict: Verdict
    reason: str = ""
    controls: list[str] = field(default_factory=list)
    bundle: str = ""

    @classmethod
    def of(cls, report: pytest.TestReport) -> Outcome | None:
        """The outcome in a report; None when its phase says nothing."""
        told = _properties(report).get(_OUTCOME)
        return cls(Verdict(told["verdict"]), told["reason"], told["controls"], told["bundle"]) if told else None

    def put(self, report: pytest.TestReport) -> None:
        """Make it the report's."""
        told = {**vars(self), "verdict": str(self.verdict)}
        report.user_properties.append((_OUTCOME, told))


def made_of(report: pytest.TestReport) -> dict[str, str]:
    """What a report says of what its cell was made of; empty when it says nothing."""
    return dict(_properties(report).get(_MADE_OF, {}))


def recorded(report: pytest.TestReport) -> dict[str, Any]:
    """What the scenario itself recorded (pytest's `record_property`), by name."""
    return {name: value for name, value in _properties(report).items() if not name.startswith(_OWN)}


def _properties(report: pytest.TestReport) -> Mapping[str, Any]:
    return dict(report.user_properties)


def verdict_of(report: pytest.TestReport, error: BaseException | None) -> Verdict | None:
    """What a phase's report says of its scenario; None for a phase that says nothing."""
    # A gap may tell that the driver oopses the kernel, of which a machine may die.
    if isinstance(error, MachineLostError) and not report.skipped:
        return Verdict.LOST
    if report.failed:
        # The lab's own errors are not the driver's failures: they are errors in whatever phase they came.
        broken = report.when != "call" or (isinstance(error, LabError) and not isinstance(error, AssertionError))
        return Verdict.ERROR if broken else Verdict.FAILED
    if report.skipped:
        return Verdict.GAP if hasattr(report, "wasxfail") else Verdict.UNSUPPORTED
    return Verdict.PASSED if report.when == "call" else None


def tell(report: pytest.TestReport, state: Scenario | None, error: BaseException | None) -> None:
    """Put into a report what the process that records shall know of the scenario and its cell."""
    if state and state.prepared and report.when == "setup":
        report.user_properties.append((_MADE_OF, _facts(state.prepared)))
    verdict = verdict_of(report, error)
    if verdict is None:
        return
    if report.when == "call" and verdict in (Verdict.LOST, Verdict.ERROR):
        # pytest calls what fails in a test's body "failed"; a lost machine, a consumer that died, ... are errors, not
        # failures of the driver.
        report.when = "setup"
    controls, bundle = (list(state.controls), state.bundle) if state else ([], None)
    Outcome(verdict, str(error or ""), controls, str(bundle or "")).put(report)


def _facts(prepared: Prepared) -> dict[str, str]:
    """The fields of matrix/runs.py's CellFacts that are known when a cell has been made."""
    provenance = prepared.driver.provenance if prepared.driver else {}
    return {
        "release": prepared.kernel.release,
        "version": prepared.kernel.version,
        "origin": prepared.kernel.origin,
        "driver_version": str(provenance.get("version", "")),
        "compiler": str(provenance.get("compiler", "")),
        "acceleration": str(prepared.acceleration.kind),
        "qemu": prepared.qemu.version,
    }


def explain(item: pytest.Item, state: Scenario, report: pytest.TestReport, error: BaseException | None) -> None:
    """Put the evidence into a bundle, and the sentence and the bundle's path into the report."""
    message = str(error) if isinstance(error, LabError) else report.longreprtext
    kernel = state.prepared.kernel.exact if state.prepared else state.cell.kernel
    build = state.prepared.driver if state.prepared else None
    failure = Failure(
        name=item.nodeid,
        verdict=verdict_of(report, error) or Verdict.ERROR,
        message=message,
        rerun=rerun_command(item.nodeid, state.cell, kernel, item.config, state.seed),
        versions=state.prepared.versions() if state.prepared else {"cell": state.cell.slug},
        captures=[capture.events for capture in state.events.recorded] if state.events else [],
        log=error.log if isinstance(error, LabError) else None,
        repro=_repro(item.nodeid, state.cell, kernel, item.config, state.seed),
        symbols=symbols_of(build),
        module=build.module.stem.replace("-", "_") if build and build.module else "",
        kept=keep(item.config, state),
    )
    state.bundle = write_bundle(item.config.stash[SESSION].folder, failure, state.machine)
    if isinstance(error, LabError):
        # The user sees what happened and what to do, not our call stack.
        report.longrepr = f"{error}\nBundle: {state.bundle}\nRun it again: {failure.rerun}"
    else:
        report.sections.append(("Bundle", f"{state.bundle}\nRun it again: {failure.rerun}"))


def explain_dead_worker(report: pytest.TestReport, worker: str, cell: Cell, config: pytest.Config) -> None:
    """Make xdist's report of a scenario whose worker died that of a lost machine, with a bundle of what is known."""
    error = MachineLostError(
        f"its worker died ({worker}) while it ran, and its machine with it",
        hint="see whether the host ran out of memory (dmesg), then run the scenario again, alone",
    )
    rerun = rerun_command(report.nodeid, cell, cell.kernel, config)
    failure = Failure(report.nodeid, Verdict.LOST, str(error), rerun, {"cell": cell.slug}, captures=[], log=None)
    bundle = write_bundle(config.stash[SESSION].folder, failure, None)
    # An error, as every lost machine is (see `tell`). xdist knows neither the phase nor the test but by its id.
    path, _, test = report.nodeid.partition("::")
    report.when, report.location = "setup", (path, None, test.replace("::", "."))
    report.longrepr = f"{error}\nBundle: {bundle}\nRun it again: {rerun}"
    Outcome(Verdict.LOST, str(error), [], str(bundle)).put(report)


def _repro(name: str, cell: Cell, kernel: str, config: pytest.Config, seed: int | None) -> dict[str, Any]:
    """The same for `lab repro`."""
    given = Given.of(config.stash[SESSION].settings)
    return {
        "scenario": name.partition("[")[0],
        "folder": str(config.rootpath),
        "kernel": kernel,
        "arch": cell.arch.name,
        "driver": cell.driver,
        "driver-src": str(given.source) if given.source else None,
        "artifact": [f"{name}={path}" for name, path in given.artifacts.items()],
        "vm": str(config.getoption("vm")),
        "profile": _profile(config),
        "fuzz-seed": str(seed) if seed is not None else None,
    }


def _profile(config: pytest.Config) -> str:
    return str(config.getoption("profile"))


def rerun_command(name: str, cell: Cell, kernel: str, config: pytest.Config, seed: int | None = None) -> str:
    """The one command that runs a scenario on its cell again, with the very kernel and seed it had."""
    words = ["pytest", name.partition("[")[0], "--kernel", kernel, "--arch", cell.arch.name, "--driver", cell.driver]
    words += Given.of(config.stash[SESSION].settings).words()
    words += ["--vm", "boot"] if config.getoption("vm") == "boot" else []
    words += ["--profile", _profile(config)] if _profile(config) != "default" else []
    words += ["--fuzz-seed", str(seed)] if seed is not None else []
    return shlex.join(words)
