"""The controller's side of a distributed run (pytest-xdist). It alone resolves, plans and records; workers run
scenarios (lab/plugin/worker.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lab.errors import LabError
from lab.machines.record import reap
from lab.plugin.evidence import explain_dead_worker
from lab.plugin.plan import Plan
from lab.plugin.results import Results
from lab.plugin.session import Session
from lab.plugin.worker import NOTICE, introduce

# Each worker gets a stretch of the plan, and steals from the one with most left when it is done. The scenarios of a
# cell stand together, so of several cells each worker begins with another, and none waits for a template that the next
# one makes.
_DISTRIBUTION = "worksteal"


def distribute(config: pytest.Config) -> None:
    """Choose how scenarios are handed out where the user asked for workers and did not say how."""
    if not config.getoption("numprocesses", None):
        return
    # Each worker is given these words and looks for the root by them. One that replaces a dead one may find another, by
    # which all tests have other names: what was missing before (--bundle-dir's folder) is there now.
    given = config.invocation_params
    config.invocation_params = replace(given, args=(f"--rootdir={config.rootpath}", *given.args))
    if config.option.dist == "no" and not config.getoption("distload", False):
        config.option.dist = _DISTRIBUTION


def send_to_the_living(node: Any) -> None:
    """Let what is sent to a worker that has died go nowhere. xdist hears of a death after it happened, and sends until
    then; the broken pipe would end the run with an internal error. When it hears, it plans anew what was sent."""
    send = node.sendcommand

    def sendcommand(name: str, **arguments: object) -> None:
        with contextlib.suppress(OSError):
            send(name, **arguments)

    node.sendcommand = sendcommand


STILLBORN = "a worker died before it had begun"


class Controller:
    """xdist's hooks. Nothing of them is called where xdist is not, or has no workers."""

    def __init__(self, config: pytest.Config, session: Session, results: Results) -> None:
        self._config = config
        self._session = session
        self._results = results
        self._plans: dict[str, Plan] = {}
        self._lines: dict[str, Any] = {}

    @property
    def _scheduler(self) -> Any:
        """xdist's own plugin; None when scenarios run in this process."""
        return self._config.pluginmanager.get_plugin("dsession")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None]:
        """What was asked for must exist before workers are started for it."""
        if self._scheduler is None:
            return (yield)
        try:
            if self._session.asked:
                self._session.resolved()
            else:
                self._session.cells()
        except LabError as error:
            raise pytest.UsageError(str(error)) from error
        try:
            return (yield)
        except EOFError as error:
            # xdist takes none in its place then.
            raise pytest.UsageError(f"{STILLBORN}: nothing was run\nNext: run it again") from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker what it shall not find out by itself, and a line back."""
        line = node.gateway.newchannel()
        cells = self._session.cells()
        introduce(node.workerinput, self._session.folder, cells, self._session.wrong, line)
        line.setcallback(partial(self._heard, node.gateway.id))
        self._lines[node.gateway.id] = line
        send_to_the_living(node)

    def _heard(self, worker: str, message: tuple[Any, ...]) -> None:
        """A worker said something; in a thread of execnet's."""
        kind, *rest = message
        if kind == NOTICE:
            self._session.notice(*rest)
        else:
            self._plans[worker] = Plan(*rest)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """A worker has its plan ready: the run's begins before anything is sent to any worker, and kernels go there
        before the first scenario does."""
        plan = self._plans.get(node.gateway.id, Plan({}))
        self._results.begin(plan)
        if plan.scenarios:
            for text in self._session.chosen():
                self._session.notice(text)
            with contextlib.suppress(OSError):  # it has died meanwhile
                self._lines[node.gateway.id].send(self._session.packed())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, error: object) -> None:
        if error and self._results.planned:
            self._reap()

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """A worker died: the scenario that it ran is lost, no other."""
        if crashitem not in self._results.planned:
            return
        slug = self._results.planned[crashitem]
        cell = next(cell for cell in self._session.cells() if cell.slug == slug)
        explain_dead_worker(report, report.node.gateway.id, cell, self._config)
        # xdist counts towards --maxfail only what workers report.
        self._scheduler._handlefailures(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """xdist has ended its workers, some of them perhaps by force."""
        if self._scheduler is not None and self._results.planned:
            self._reap()

    def _reap(self) -> None:
        # Tidying only, and the next run does it again.
        with contextlib.suppress(LabError):
            reap(self._session.settings.run_dir)
