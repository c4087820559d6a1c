"""pytest's hooks: cells become parameters, outcomes become verdicts, failures leave bundles."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from typing import Any

import pytest

from lab.errors import KnownGapError, LabError, MachineLostError, UnsupportedError
from lab.evidence.kernellog import KernelLog
from lab.evidence.symbols import symbols_of
from lab.matrix.verdict import Verdict
from lab.plugin import evidence, gaps, livecontrols, profiles
from lab.plugin.controller import Controller, distribute
from lab.plugin.controls import run_controls
from lab.plugin.fixtures import (
    SCENARIO,
    SESSION,
    actor,
    actors,
    bpftool,
    deployment,
    driver,
    events,
    ftrace,
    machine,
    printk,
    scenario,
)
from lab.plugin.gaps import SplatError
from lab.plugin.keeping import wait_for_release
from lab.plugin.options import add_markers, add_options
from lab.plugin.plan import CELL_FIXTURE, is_scenario, plan_of
from lab.plugin.profiles import profile
from lab.plugin.results import Results
from lab.plugin.session import Scenario, Session

# Fixtures that look into a guest from outside, and those of kernels for debugging.
pytest_plugins = (
    "lab.plugin.debug_fixtures",
    "lab.plugin.fault_fixtures",
    "lab.plugin.race_fixtures",
    "lab.plugin.call_fixtures",
    "lab.plugin.trial_fixtures",
    "lab.plugin.survival_fixtures",
    "lab.plugin.attack_fixtures",
)

__all__ = [
    "actor",
    "actors",
    "bpftool",
    "deployment",
    "driver",
    "events",
    "ftrace",
    "machine",
    "printk",
    "profile",
    "scenario",
]

RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    distribute(config)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    add_markers(config)
    try:
        session = config.stash[SESSION] = Session(config)
        if config.getoption("arch") or config.getoption("kernel"):
            # Here and not when a cell is first needed: while pytest collects, this would be a traceback.
            session.cells()
    except LabError as error:
        raise pytest.UsageError(str(error)) from error
    if session.worker is None:
        results = config.stash[RESULTS] = Results(config, session)
        config.pluginmanager.register(results, "kernel-lab-results")
        config.pluginmanager.register(Controller(config, session, results), "kernel-lab-controller")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if CELL_FIXTURE not in metafunc.fixturenames:
        return
    try:
        chosen = metafunc.config.stash[SESSION].cells()
    except LabError as error:
        raise pytest.UsageError(str(error)) from error
    metafunc.parametrize(CELL_FIXTURE, chosen, ids=[cell.slug for cell in chosen], scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the profile does not hold, and what no control asks for on a driver that is built wrong."""
    runs, others = profiles.split(items, profiles.Profile(config.getoption("profile")))
    runs, unasked = livecontrols.split(runs, config.stash[SESSION].wrong)
    if others or unasked:
        config.hook.pytest_deselected(items=[*others, *unasked])
        items[:] = runs


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan what was collected: here nobody deselects any more (-k, --lf)."""
    plan = plan_of(session.items)
    worker = session.config.stash[SESSION].worker
    if worker:
        worker.plan(plan)
    else:
        session.config.stash[RESULTS].begin(plan)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    results = config.stash.get(RESULTS, None)
    return [f"lab: {text}" for text in config.stash[SESSION].chosen()] if results and results.planned else []


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After a scenario's body: is the machine alive, did its kernel complain, do the controls fail as they should?"""
    state = pyfuncitem.stash.get(SCENARIO, None)
    if state is None or not state.wrong:
        result = yield from _judged(state)
        if state is not None:
            state.controls = run_controls(pyfuncitem, state.tape)
        return result
    try:
        yield from _judged(state)
    except (AssertionError, pytest.fail.Exception) as error:
        state.controls = [livecontrols.count(pyfuncitem, state.wrong, error)]
        return True
    raise livecontrols.unseen(state.wrong)


def _judged(state: Scenario | None) -> Generator[None, object, object]:
    """The body, and what its machine makes of it."""
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
    return result


def _judge_machine(state: Scenario, cause: BaseException | None) -> None:
    """Raise what the machine's end or its kernel's complaints make of the scenario."""
    if state.machine is None:
        return
    state.machine.check()
    found = KernelLog(state.machine).complaints()
    if found:
        splat = symbols_of(state.prepared.driver if state.prepared else None).locate(found[0])
        text = "\n".join(splat.lines)
        raise SplatError(f"the kernel complained ({splat.summary()}):\n{text}") from cause


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a scenario's report its verdict and message, and leave a bundle while its machine still exists."""
    report = yield
    if not is_scenario(item):
        return report
    state = item.stash.get(SCENARIO, None)
    error = call.excinfo.value if call.excinfo else None
    if call.when == "call" and state and not state.wrong:
        gaps.judge(item, state, report, error)
    if isinstance(error, UnsupportedError):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"unsupported: {error.what}")
    elif isinstance(error, KnownGapError):
        report.outcome = "skipped"
        report.wasxfail = f"gap: {error.what}"
    elif report.failed and state:
        evidence.explain(item, state, report, error)
    evidence.tell(report, state, error)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Ctrl-C falls between any two instructions, and is no error of the run's wherever it does."""
    # Python's collector finds what it left, a file between open() and its `with`. Ends with pytest's own filters.
    warnings.simplefilter("ignore", pytest.PytestUnraisableExceptionWarning)
    # Some code stands for no line of a source: pytest 9.2 fails when it looks for the line's number.
    excinfo.traceback = excinfo.traceback.filter(_has_line)


def _has_line(entry: Any) -> bool:
    """Whether this entry of a traceback (pytest's class of them is not public) stands for a line of its source."""
    try:
        return bool(entry.lineno >= 0)
    except TypeError:
        return False


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """A lost machine has a word of its own."""
    outcome = evidence.Outcome.of(report) if isinstance(report, pytest.TestReport) else None
    return ("error", "L", "LOST") if outcome and outcome.verdict is Verdict.LOST and report.failed else None


def pytest_unconfigure(config: pytest.Config) -> None:
    """When all has been said."""
    wait_for_release(config)
