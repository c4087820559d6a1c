"""What a run planned and what came of it: kept, written into its folder, summed up, and turned into the exit status.

One process does so: the only one, or the controller of a distributed run. What happened to a scenario reaches it in its
reports (`lab/plugin/evidence.py` puts it there), wherever the scenario ran.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lab.errors import LabError
from lab.matrix.runs import PLAN, RESULTS, CellFacts, write_cells
from lab.matrix.verdict import Verdict, complete, describe, silent_cells, tally, worst
from lab.plugin.evidence import Outcome, made_of, recorded
from lab.plugin.plan import Plan
from lab.plugin.session import Session


class Results:
    """A plugin of the process that records."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config = config
        self._session = session
        self._facts: dict[str, CellFacts] = {}
        self.planned: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.controls: dict[str, list[str]] = {}
        self._seconds: dict[str, float] = {}

    def begin(self, plan: Plan) -> None:
        """Refuse what cannot be, resolve what is needed and write the plan down, before anything runs.

        Workers collect the same: the plan of the first of them is the run's.
        """
        if plan.refused:
            raise pytest.UsageError(plan.refused)
        if self.planned or not plan.scenarios or self._config.option.collectonly:
            return
        try:
            resolved = self._session.resolved()
        except LabError as error:
            raise pytest.UsageError(str(error)) from error
        for cell, found in resolved.items():
            facts = CellFacts(cell.slug, cell.kernel, cell.arch.name, cell.driver)
            if not isinstance(found, LabError):
                facts = replace(facts, release=found.release, version=found.version, origin=found.origin)
            self._facts[cell.slug] = facts
        self.planned.update(plan.scenarios)
        self._session.folder.mkdir(parents=True, exist_ok=True)
        (self._session.folder / PLAN).write_text(json.dumps(self.planned, indent=1))
        write_cells(self._session.folder, self._facts)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record what a report says of its scenario; the last verdict stands."""
        if report.nodeid not in self.planned:
            return
        slug = self.planned[report.nodeid]
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        facts = replace(self._facts[slug], **made_of(report))
        if facts != self._facts[slug]:
            self._facts[slug] = facts
            write_cells(self._session.folder, self._facts)
        outcome = Outcome.of(report)
        if outcome is not None:
            self._record(report.nodeid, outcome, recorded(report))

    def _record(self, name: str, outcome: Outcome, properties: Mapping[str, Any]) -> None:
        self.verdicts[name] = outcome.verdict
        self.controls[name] = outcome.controls
        row = {
            "scenario": name,
            "verdict": outcome.verdict,
            "reason": outcome.reason,
            "controls": outcome.controls,
            "bundle": outcome.bundle,
            "recorded": properties,
            "seconds": round(self._seconds[name], 2),
        }
        with (self._session.folder / RESULTS).open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The verdicts of every cell, and what never reported."""
        if not self.planned:
            return
        verdicts = complete(self.planned, self.verdicts)
        terminalreporter.section("verdicts")
        for cell, count in tally(self.planned, verdicts).items():
            terminalreporter.write_line(f"{cell}: {describe(count)}")
        proved = sum(len(labels) for labels in self.controls.values())
        terminalreporter.write_line(f"negative controls that failed as they should: {proved}")
        for name, verdict in verdicts.items():
            if verdict is Verdict.MISSING:
                terminalreporter.write_line(f"missing: {name} was planned and never reported")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run is green only when everything planned has reported, and every cell has shown something."""
        if not self.planned or session.exitstatus not in (0, 5):
            return
        verdicts = complete(self.planned, self.verdicts)
        silent = silent_cells(tally(self.planned, verdicts)) and not self._config.getoption("allow_unsupported")
        if worst(verdicts.values()) or silent:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
