"""A control counts only if the scenario then fails, by an assertion that names what was altered."""

from __future__ import annotations

from typing import Any

import pytest

from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Value
from lab.evidence.printk import Record
from lab.scenario import altered, another, logged, missing
from tests.support.fakelab import EVENT, FakeLab, fake_lab

__all__ = ["fake_lab"]

pytest_plugins = ["pytester"]

HEAD = """
import pytest
from lab.scenario import altered, answered, missing, logged
CAT = {"type": "openat", "comm": "cat"}
"""
CAPTURED = Capture((EVENT,), Counters(1, 0), True)


@pytest.fixture
def run(pytester: pytest.Pytester, fake_lab: FakeLab) -> Any:  # noqa: ARG001 - it stands in for the lab
    def run(controls: str, *lines: str) -> pytest.RunResult:
        """A scenario with these controls that captures one event and then does `lines`."""
        body = "".join(f"    {line}\n" for line in lines)
        mark = f"@pytest.mark.controls({controls})\n"
        test = "def test_it(events, machine, driver):\n    with events.capture() as seen:\n        pass\n"
        pytester.makepyfile(test_scenario=HEAD + mark + test + body)
        return pytester.runpytest_inprocess("--arch", "amd64", "-p", "no:hypothesispytest")

    return run


def test_controls_that_fail_and_name_what_was_altered_count(run: Any) -> None:
    result = run(
        "altered('name', **CAT), altered('result', **CAT), missing(**CAT), answered('driver.loaded', False, word='no')",
        "seen.one(**CAT, name='/etc/hostname', result=3)",
        "assert driver.loaded(), 'no driver'",
    )
    result.stdout.fnmatch_lines(["*: 1 passed", "negative controls that failed as they should: 4"])
    assert result.ret == 0


@pytest.mark.parametrize(
    ("controls", "lines", "message"),
    [
        ("altered('name', **CAT)", ["seen.one(**CAT)"], "control «name altered» passed: the scenario does not see it"),
        ("missing(**CAT)", ["assert seen.closed"], "control «openat cat missing» passed: *"),
        ("altered('name', type='connect')", ["seen.one(**CAT)"], "control «name altered» found nothing to alter*"),
        ("answered('driver.loaded', False, word='x')", ["seen.one(**CAT)"], "control «driver.loaded* found nothing*"),
        ("logged('BUG: x')", ["seen.one(**CAT)"], "control «kernel log with 'BUG: x'» found nothing*"),
        (
            "altered('name', **CAT)",
            ["if seen.events[0]['name'] != b'/etc/hostname': raise AssertionError('wrong')"],
            "control «name altered» failed without naming what was altered: wrong*",
        ),
        ("altered('name', **CAT)", ["[b'/etc/hostname'].index(seen.events[0]['name'])"], "*which is no assertion"),
        (
            "missing(**CAT)",
            ["global ran", "ran = globals().get('ran', 0) + 1", "assert ran == 1, 'second time'"],
            "the scenario fails on its own unaltered recording: second time*",
        ),
    ],
)
def test_a_control_that_proves_nothing_fails_its_scenario(
    run: Any, controls: str, lines: list[str], message: str
) -> None:
    result = run(controls, *lines)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*ControlFailedError: {message}", "*: 1 failed"])
    result.stdout.fnmatch_lines(["negative controls that failed as they should: 0"])


def test_a_scenario_that_asks_something_else_on_replay_is_an_error(run: Any) -> None:
    lines = ["global ran", "ran = globals().get('ran', 0) + 1", "machine.run(['a']) if ran == 1 else driver.loaded()"]
    result = run("missing(**CAT)", *lines)
    result.stdout.fnmatch_lines(["*asked for driver.loaded, where machine.run was recorded*", "*: 1 error"])
    assert result.ret == 1


def test_a_failure_by_pytests_own_means_is_a_failure(run: Any) -> None:
    result = run("missing(**CAT)", "len(seen.events) == 1 or pytest.fail('no openat')")
    assert result.ret == 0


def test_controls_run_without_the_machine(run: Any, fake_lab: FakeLab) -> None:
    assert run("missing(**CAT)", "machine.run(['once'])", "seen.one(**CAT)").ret == 0
    assert fake_lab.machines[0].ran.count(["once"]) == 1


def test_a_failed_scenario_runs_no_controls(run: Any) -> None:
    result = run("missing(**CAT)", "assert 0, 'by itself'")
    result.stdout.fnmatch_lines(["*AssertionError: by itself*", "negative controls that failed as they should: 0"])


def test_what_a_control_does_not_concern_stays_the_same_object() -> None:
    control = altered("name", type="connect")
    assert control.alter("events.capture", CAPTURED) is CAPTURED
    assert missing(type="openat").alter("machine.run", CAPTURED) is CAPTURED
    assert logged("x").alter("machine.run", CAPTURED) is CAPTURED


def test_an_alteration_changes_the_one_thing_and_not_the_recording() -> None:
    for field in ("name", "result"):
        other = altered(field, comm="cat").alter("events.capture", CAPTURED).events[0]
        assert other.value(field) != EVENT.value(field)
    assert missing(type={"open", "openat"}).alter("events.capture", CAPTURED).events == ()
    assert CAPTURED.events == (EVENT,)


def test_a_line_is_added_to_the_kernel_log() -> None:
    before = [Record(1.0, 6, 0, "x")]
    assert [record.text for record in logged("BUG: y").alter("printk.records", before)] == ["x", "BUG: y"]
    assert len(before) == 1


@pytest.mark.parametrize("value", [0, -1, 5, b"", b"/x", "", "x", frozenset(), frozenset({"A"}), (), (b"a",), None])
def test_another_value_is_another_value(value: Value) -> None:
    assert another(value) != value


def test_a_nearest_event_that_differs_elsewhere_does_not_name_the_altered_field() -> None:
    control = altered("name", type="openat")
    message = "no event with type='openat' among 3; the nearest has result=-2: openat by 'cat' (pid 7) name='/x'"
    assert not control.named_in(message)
    assert control.named_in(message.replace("has result=-2", "has name='/x~altered', result=-2"))


def test_an_attribute_that_pytest_followed_names_its_field() -> None:
    message = "assert -4 >= 0\n +  where -4 = Event(type='openat', result=-4, name='/x').result"
    assert altered("result", type="openat").named_in(message)
    assert not altered("name", type="openat").named_in(message)
