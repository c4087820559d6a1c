"""pytest's hooks: cells become parameters, outcomes become verdicts, failures leave bundles."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from lab.errors import LabError, MachineLostError, RequestError, UnsupportedError
from lab.evidence.printk import parse_console
from lab.evidence.splats import find_splats, unexpected
from lab.matrix.verdict import Verdict, complete, describe, silent_cells, tally, worst
from lab.plugin import evidence
from lab.plugin.controls import controls_of, run_controls
from lab.plugin.fixtures import (
    CELL_FIXTURE,
    SCENARIO,
    SESSION,
    Printk,
    actor,
    deployment,
    driver,
    events,
    machine,
    printk,
    scenario,
)
from lab.plugin.options import add_markers, add_options
from lab.plugin.session import Scenario, Session

# Fixtures that look into a guest from outside; they let it go when a scenario's body is over.
pytest_plugins = ("lab.plugin.debug_fixtures",)

__all__ = ["actor", "deployment", "driver", "events", "machine", "printk", "scenario"]


class SplatError(AssertionError):
    """The kernel complained while the scenario ran: it fails, whatever it asserted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    add_markers(config)
    try:
        config.stash[SESSION] = Session(config)
        if config.getoption("arch") or config.getoption("kernel"):
            # Here and not when a cell is first needed: while pytest collects, this would be a traceback.
            config.stash[SESSION].cells()
    except LabError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if CELL_FIXTURE not in metafunc.fixturenames:
        return
    try:
        chosen = metafunc.config.stash[SESSION].cells()
    except LabError as error:
        raise pytest.UsageError(str(error)) from error
    metafunc.parametrize(CELL_FIXTURE, chosen, ids=[cell.slug for cell in chosen], scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse what cannot be, then write the plan down: here nobody deselects any more (-k, --lf)."""
    state = session.config.stash[SESSION]
    scenarios = [item for item in session.items if is_scenario(item)]
    for item in scenarios:
        if not controls_of(item):
            raise pytest.UsageError(f"{item.nodeid} has no negative control: mark it with controls(...)")
        cell = item.callspec.params[CELL_FIXTURE]  # type: ignore[attr-defined]
        state.planned[item.nodeid] = cell.slug
    if not scenarios or session.config.option.collectonly:
        return
    try:
        for cell in state.cells():
            state.check(cell)
    except RequestError as error:
        raise pytest.UsageError(str(error)) from error
    state.write_plan()


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    state = config.stash[SESSION]
    return [f"lab: {text}" for text in state.resolved] if state.planned else []


def is_scenario(item: pytest.Item) -> bool:
    """Whether a test runs on a cell."""
    return isinstance(item, pytest.Function) and CELL_FIXTURE in item.fixturenames


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After a scenario's body: is the machine alive, did its kernel complain, do the controls fail as they should?"""
    state = pyfuncitem.stash.get(SCENARIO, None)
    try:
        result = yield
    except MachineLostError:
        raise
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
        if state is not None:
            # A dead machine explains a failure; a splat explains one better than the assertion that it broke.
            _judge_machine(state, error)
        raise
    if state is not None:
        _judge_machine(state, None)
        state.controls = run_controls(pyfuncitem, state.tape)
    return result


def _judge_machine(state: Scenario, cause: BaseException | None) -> None:
    """Raise what the machine's end or its kernel's complaints make of the scenario."""
    if state.machine is None:
        return
    state.machine.check()
    logs = (parse_console(state.machine.console.read()), Printk(state.machine).records())
    for records in logs:
        for splat in unexpected(find_splats(records)):
            text = "\n".join(splat.lines)
            raise SplatError(f"the kernel complained ({splat.kind}: {splat.title}):\n{text}") from cause


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a scenario's report its verdict and message, and leave a bundle while its machine still exists."""
    report = yield
    state = item.stash.get(SCENARIO, None)
    if state is None:
        return report
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, UnsupportedError):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"unsupported: {error.what}")
    elif report.failed:
        evidence.explain(item, state, report, error)
    _note_verdict(item, state, report, error)
    return report


def _note_verdict(item: pytest.Item, state: Scenario, report: pytest.TestReport, error: BaseException | None) -> None:
    session = item.config.stash[SESSION]
    verdict = evidence.verdict_of(report, error)
    if verdict is None or (report.when == "teardown" and item.nodeid in session.verdicts and verdict is Verdict.PASSED):
        return
    if report.when == "call" and verdict in (Verdict.LOST, Verdict.ERROR):
        # pytest calls what fails in a test's body "failed"; a lost machine, a consumer that died, ... are errors, not
        # failures of the driver.
        report.when = "setup"
    session.controls[item.nodeid] = state.controls
    session.report(item.nodeid, verdict, str(error or ""))


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """A lost machine has a word of its own."""
    verdict = dict(report.user_properties).get("verdict") if isinstance(report, pytest.TestReport) else None
    return ("error", "L", "LOST") if verdict == Verdict.LOST and report.failed else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    state = config.stash[SESSION]
    if not state.planned or config.option.collectonly:
        return
    verdicts = complete(state.planned, state.verdicts)
    terminalreporter.section("verdicts")
    for cell, count in tally(state.planned, verdicts).items():
        terminalreporter.write_line(f"{cell}: {describe(count)}")
    proved = sum(len(labels) for labels in state.controls.values())
    terminalreporter.write_line(f"negative controls that failed as they should: {proved}")
    for name, verdict in verdicts.items():
        if verdict is Verdict.MISSING:
            terminalreporter.write_line(f"missing: {name} was planned and never reported")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run is green only when everything planned has reported, and every cell has shown something."""
    state = session.config.stash[SESSION]
    if not state.planned or session.config.option.collectonly or session.exitstatus not in (0, 5):
        return
    verdicts = complete(state.planned, state.verdicts)
    silent = silent_cells(tally(state.planned, verdicts)) and not session.config.getoption("allow_unsupported")
    if worst(verdicts.values()) or silent:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
