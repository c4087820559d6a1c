"""Known gaps as strict expected failures: what the manifest lists must fail, and must not pass unseen."""

from __future__ import annotations

import re

import pytest

from lab.debugging.evidence import stacks
from lab.drivers import gaps
from lab.drivers.gaps import Gap
from lab.errors import MachineLostError
from lab.evidence.kernellog import KernelLog
from lab.machines.machine import Machine
from lab.plugin.controls import ControlFailedError
from lab.plugin.session import Scenario


class SplatError(AssertionError):
    """The kernel complained while the scenario ran: it fails, whatever it asserted."""


def narrow_of(item: pytest.Item, state: Scenario) -> list[Gap]:
    """The gaps of some variants and parameters of the scenario's calls."""
    if state.prepared is None or state.prepared.driver is None:
        return []
    mode, kernel = state.prepared.driver.driver.mode, state.prepared.kernel
    return gaps.narrow_gaps(mode.gaps, _name(item), _subjects(item), kernel)


def judge(item: pytest.Item, state: Scenario, report: pytest.TestReport, error: BaseException | None) -> None:
    """Make of a body's report what a known gap makes of it: a failure is expected, a pass is the manifest's fault."""
    found = _gaps_of(item, state)
    if not found:
        if report.passed and state.gaps:
            report.outcome = "skipped"
            report.wasxfail = f"gap: {'; '.join(state.gaps)}"
        return
    gap = found[0]
    if report.passed and gap.by_chance:
        return
    if report.passed:
        name = state.prepared.driver.driver.name if state.prepared and state.prepared.driver else "the driver"
        report.outcome = "failed"
        report.longrepr = (
            f"the manifest of {name} lists a gap here, and the scenario passed: {gap.text}\n"
            "Next: take the gap out of driver.toml, or narrow it to the kernels and architectures that have it"
        )
    elif shown := next((each for each in found if _is_it(each, state, error)), None):
        report.outcome = "skipped"
        report.wasxfail = f"gap: {shown.text}"


def _is_it(gap: Gap, state: Scenario, error: BaseException | None) -> bool:
    """Whether a failure is the gap's. A complaint of the kernel's is one only where the gap names it."""
    if isinstance(error, MachineLostError):
        return state.machine is not None and _died_of(gap, state.machine)
    if isinstance(error, SplatError):
        return bool(gap.splat) and gap.splat in str(error)
    if gap.splat or gap.doing or isinstance(error, ControlFailedError):
        return False
    return isinstance(error, (AssertionError, pytest.fail.Exception)) and gap.says in str(error)


def _died_of(gap: Gap, machine: Machine) -> bool:
    """Whether a machine was lost as the gap says."""
    if gap.doing:
        return _last_announced(machine) in gap.doing
    return bool(gap.splat) and _complained(gap.splat, machine)


def _last_announced(machine: Machine) -> str:
    """What an actor last said on the console that it does (scenarios/actors/announce.h)."""
    said = re.findall(r"\blab-actor: ([^\r\n]*)", machine.console.read().decode(errors="replace"))
    return said[-1].strip() if said else ""


def _complained(splat: str, machine: Machine) -> bool:
    """Whether a lost machine is one of that complaint: its first, because a kernel goes on after an oops, or does not,
    by chance. Where memory was written over, anybody may complain first, or nobody: then the gap must name a function,
    which the console's last words or a CPU of the dead machine have. A module's name is left in many a stack."""
    found = KernelLog(machine).on_console()
    if found and splat in "\n".join(found[0].lines):
        return True
    # The whole of it: a trace of a stack that overflowed is longer than what is kept of a complaint.
    told = machine.console.read().decode(errors="replace") if found else "" if machine.alive() else stacks(machine)
    return re.search(rf"\b{re.escape(splat)}[\w.]*\+0x", told) is not None


def demand_seen(item: pytest.Item, state: Scenario) -> None:
    """UnsupportedError when the scenario is about what the cell's driver does not look at."""
    if state.prepared is not None and state.prepared.driver is not None:
        driver = state.prepared.driver.driver
        gaps.demand_seen(set(driver.mode.sees), driver.name, _subjects(item))


def _subjects(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("syscall") for name in mark.args}


def _name(item: pytest.Item) -> str:
    return getattr(item, "originalname", item.name)


def _gaps_of(item: pytest.Item, state: Scenario) -> list[Gap]:
    if state.prepared is None or state.prepared.driver is None:
        return []
    subjects = _subjects(item) | {name for mark in item.iter_markers("attack") for name in mark.args}
    return gaps.gaps_for(state.prepared.driver.driver.mode.gaps, _name(item), subjects, state.prepared.kernel)
