"""Known gaps as strict expected failures: what the manifest lists must fail, and must not pass unseen."""

from __future__ import annotations

import pytest

from lab.drivers.gaps import gap_for
from lab.drivers.schema import Gap
from lab.plugin.controls import ControlFailedError
from lab.plugin.session import Scenario


class SplatError(AssertionError):
    """The kernel complained while the scenario ran: it fails, whatever it asserted."""


def judge(item: pytest.Item, state: Scenario, report: pytest.TestReport, error: BaseException | None) -> None:
    """Make of a body's report what a known gap makes of it: a failure is expected, a pass is the manifest's fault."""
    gap = _gap_of(item, state)
    if gap is None:
        return
    if report.passed:
        name = state.prepared.driver.driver.name if state.prepared and state.prepared.driver else "the driver"
        report.outcome = "failed"
        report.longrepr = (
            f"the manifest of {name} lists a gap here, and the scenario passed: {gap.text}\n"
            "Next: take the gap out of driver.toml, or narrow it to the kernels and architectures that have it"
        )
    elif (
        isinstance(error, (AssertionError, pytest.fail.Exception))
        and not isinstance(error, (SplatError, ControlFailedError))
        and gap.says in str(error)
    ):
        report.outcome = "skipped"
        report.wasxfail = f"gap: {gap.text}"


def _gap_of(item: pytest.Item, state: Scenario) -> Gap | None:
    if state.prepared is None or state.prepared.driver is None:
        return None
    subjects = {name for mark in item.iter_markers("syscall") for name in mark.args}
    name = getattr(item, "originalname", item.name)
    return gap_for(state.prepared.driver.driver.mode.gaps, name, subjects, state.prepared.kernel)
