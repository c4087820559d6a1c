"""`--keep-on-failure`: machines of failed scenarios stay until they are let go.

A machine lives no longer than the process that started it, which also holds its ports. So it is pytest itself that
stays: at its end, when all has been said, it waits until `lab keep stop` has let each kept machine go, or for Ctrl-C.
"""

from __future__ import annotations

import pytest

from lab.machines.machine import Machine
from lab.plugin.session import Scenario

_KEPT = pytest.StashKey[list[Machine]]()
_MOST = 4  # at once: each has its memory


def keep(config: pytest.Config, state: Scenario) -> str:
    """Keep the machine of a scenario that has failed, where that was asked for; returns its name, or nothing."""
    machine, kept = state.machine, config.stash.setdefault(_KEPT, [])
    wanted = config.getoption("keep_on_failure") and machine is not None and machine.answers_monitor()
    if not wanted or machine is None or len(kept) >= _MOST:
        return ""
    if machine not in kept:
        kept.append(machine)
        machine.keep(f"kept: {state.name}")
    return machine.folder.name


def end_unless_kept(config: pytest.Config, machine: Machine) -> None:
    """The end of a scenario's machine."""
    if machine not in config.stash.setdefault(_KEPT, []):
        machine.end()


def wait_for_release(config: pytest.Config) -> None:
    """Say which machines are kept and wait until they were let go; then, and after Ctrl-C, they end."""
    kept = config.stash.get(_KEPT, [])
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    try:
        if kept and reporter is not None:
            reporter.section("kept machines")
            for machine in kept:
                name = machine.folder.name
                reporter.write_line(f"{name}: {machine.purpose}\n  lab exec {name} -- COMMAND; lab keep stop {name}")
            reporter.write_line("They stay until each was stopped, or until Ctrl-C here.")
        for machine in kept:
            machine.released.wait()
            machine.end()
    finally:
        for machine in kept:
            machine.end()
        kept.clear()
