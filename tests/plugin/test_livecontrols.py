"""--controls: scenarios run again under drivers that are built wrong, and must fail there."""

from __future__ import annotations

from typing import Any

import pytest

from lab import arches
from lab.drivers.capture import Capture
from lab.drivers.event import Counters
from lab.matrix.cell import Cell
from lab.plugin.livecontrols import wrong_cells
from lab.scenario import added
from tests.support.fakelab import EVENT, FakeLab, fake_lab

__all__ = ["fake_lab"]

pytest_plugins = ["pytester"]

HEAD = """
import pytest
from lab.scenario import missing, wrong
CAT = {"type": "openat", "comm": "cat"}

@pytest.mark.controls(missing(**CAT), wrong("exit-only", word="name"))
def test_it(events, scenario):
    with events.capture() as seen:
        pass
    seen.one(**CAT)
"""
CELL = Cell("6.12", arches.find("amd64"), "tap:modern-bpf")


@pytest.fixture
def run(pytester: pytest.Pytester, fake_lab: FakeLab) -> Any:  # noqa: ARG001 - it stands in for the lab
    def run(body: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_scenario=HEAD + f"    {body}\n")
        words = ["--arch", "amd64", "--driver", "tap:modern-bpf", "-p", "no:hypothesispytest", *arguments]
        return pytester.runpytest_inprocess(*words)

    return run


def test_a_scenario_that_fails_under_the_wrong_driver_proves_its_control(run: Any) -> None:
    result = run("assert '+exit-only' not in scenario.cell.driver, 'name is wrong'", "--controls")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["6.12-amd64-tap+exit-only:modern-bpf: 1 passed", "negative controls that failed as they should: 2"]
    )
    assert result.ret == 0


def test_without_the_option_only_recordings_are_altered(run: Any) -> None:
    result = run("assert '+exit-only' not in scenario.cell.driver, 'name is wrong'")
    result.stdout.fnmatch_lines(["negative controls that failed as they should: 1"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "*ControlFailedError: built wrong (exit-only) the driver passed: the scenario does not see it*"),
        ("assert '+' not in scenario.cell.driver, 'else'", "*failed without naming what is wrong: else*"),
    ],
)
def test_a_live_control_that_proves_nothing_fails(run: Any, body: str, message: str) -> None:
    result = run(body, "--controls")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([message])


def test_each_option_of_a_drivers_mode_makes_a_cell() -> None:
    found = wrong_cells([CELL])
    assert found[Cell("6.12", CELL.arch, "tap+exit-only:modern-bpf")] == "exit-only"
    assert not wrong_cells([Cell("6.12", CELL.arch, "auditd:audit")])
    assert not wrong_cells([Cell("6.12", CELL.arch, "")])


def test_an_event_is_added_to_what_must_not_be_there() -> None:
    captured = Capture((EVENT,), Counters(1, 0), True)
    control = added(type="connect", comm="cat", address="10.0.0.1")
    with pytest.raises(AssertionError) as failed:
        control.alter("events.capture", captured).none(type="connect", comm="cat", address="10.0.0.1")
    assert control.named_in(str(failed.value))
    captured.none(type="connect")
    assert control.alter("machine.run", captured) is captured
