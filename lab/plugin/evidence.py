"""From a scenario's failure to its verdict, its message and its bundle."""

from __future__ import annotations

import shlex

import pytest

from lab.errors import LabError, MachineLostError
from lab.evidence.bundle import Failure, write_bundle
from lab.evidence.symbols import symbols_of
from lab.matrix.verdict import Verdict
from lab.plugin.fixtures import SESSION
from lab.plugin.keeping import keep
from lab.plugin.session import Scenario


def verdict_of(report: pytest.TestReport, error: BaseException | None) -> Verdict | None:
    """What a phase's report says of its scenario; None for a phase that says nothing."""
    if isinstance(error, MachineLostError):
        return Verdict.LOST
    if report.failed:
        # The lab's own errors are not the driver's failures: they are errors in whatever phase they came.
        broken = report.when != "call" or (isinstance(error, LabError) and not isinstance(error, AssertionError))
        return Verdict.ERROR if broken else Verdict.FAILED
    if report.skipped:
        return Verdict.GAP if hasattr(report, "wasxfail") else Verdict.UNSUPPORTED
    return Verdict.PASSED if report.when == "call" else None


def explain(item: pytest.Item, state: Scenario, report: pytest.TestReport, error: BaseException | None) -> None:
    """Put the evidence into a bundle, and the sentence and the bundle's path into the report."""
    verdict = verdict_of(report, error) or Verdict.ERROR
    report.user_properties.append(("verdict", str(verdict)))
    message = str(error) if isinstance(error, LabError) else report.longreprtext
    session = item.config.stash[SESSION]
    build = state.prepared.driver if state.prepared else None
    failure = Failure(
        name=item.nodeid,
        verdict=verdict,
        message=message,
        rerun=rerun_command(item, state),
        versions=state.prepared.versions() if state.prepared else {"cell": state.cell.slug},
        captures=[capture.events for capture in state.events.recorded] if state.events else [],
        log=error.log if isinstance(error, LabError) else None,
        repro=_repro(item, state),
        symbols=symbols_of(build),
        module=build.module.stem.replace("-", "_") if build and build.module else "",
        kept=keep(item.config, state),
    )
    state.bundle = write_bundle(session.folder, failure, state.machine)
    if isinstance(error, LabError):
        # The user sees what happened and what to do, not our call stack.
        report.longrepr = f"{error}\nBundle: {state.bundle}\nRun it again: {failure.rerun}"
    else:
        report.sections.append(("Bundle", f"{state.bundle}\nRun it again: {failure.rerun}"))


def _repro(item: pytest.Item, state: Scenario) -> dict[str, str]:
    """The same for `lab repro`."""
    return {
        "scenario": item.nodeid.partition("[")[0],
        "folder": str(item.config.rootpath),
        "kernel": state.prepared.kernel.exact if state.prepared else state.cell.kernel,
        "arch": state.cell.arch.name,
        "driver": state.cell.driver,
        "vm": str(item.config.getoption("vm")),
    }


def rerun_command(item: pytest.Item, state: Scenario) -> str:
    """The one command that runs this scenario on this cell again, with the very kernel it had."""
    cell = state.cell
    kernel = state.prepared.kernel.exact if state.prepared else cell.kernel
    name = item.nodeid.partition("[")[0]
    words = ["pytest", name, "--kernel", kernel, "--arch", cell.arch.name, "--driver", cell.driver]
    words += ["--vm", "boot"] if item.config.getoption("vm") == "boot" else []
    return shlex.join(words)
