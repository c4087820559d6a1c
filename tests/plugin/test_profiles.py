"""Profiles: what runs in which, and how much."""

from __future__ import annotations

from typing import Any

import pytest

from lab.plugin.profiles import Profile
from tests.support.fakelab import FakeLab, fake_lab

__all__ = ["fake_lab"]

pytest_plugins = ["pytester"]

SOURCE = """
import pytest
from lab.scenario import answered
from lab.machines.result import Result
echoes = pytest.mark.controls(answered("machine.run", Result((), 0, b"nothing", b""), word="hello"))

@echoes
@pytest.mark.profile("smoke")
def test_quick(machine, profile):
    assert machine.run(["hello"]).text == "hello", profile.pick(smoke="s", default="d", full="f")

@echoes
def test_usual(machine):
    assert machine.run(["hello"]).text == "hello"

@echoes
@pytest.mark.profile("full")
def test_long(machine):
    assert machine.run(["hello"]).text == "hello"
"""


@pytest.fixture
def run(pytester: pytest.Pytester, fake_lab: FakeLab) -> Any:  # noqa: ARG001 - it stands in for the lab
    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_scenario=source)
        return pytester.runpytest_inprocess("--arch", "amd64", "-p", "no:hypothesispytest", *arguments)

    return run


@pytest.mark.parametrize(("chosen", "ran"), [("smoke", 1), ("default", 2), ("full", 3)])
def test_a_profile_runs_its_own_scenarios_and_those_of_the_quicker_ones(run: Any, chosen: str, ran: int) -> None:
    result = run(SOURCE, "--profile", chosen)
    result.assert_outcomes(passed=ran, deselected=3 - ran)
    assert result.ret == 0


def test_without_an_option_it_is_the_default(run: Any) -> None:
    run(SOURCE).assert_outcomes(passed=2, deselected=1)


def test_a_mark_that_names_no_profile_is_refused(run: Any) -> None:
    result = run(SOURCE.replace('profile("full")', 'profile("slow")'))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*profile(...) is one of smoke, default, full*"])


def test_a_scenario_does_as_much_as_its_profile_says() -> None:
    assert [Profile(name).pick(smoke=1, default=2, full=3) for name in ("smoke", "default", "full")] == [1, 2, 3]
