"""A gap in the driver's manifest is a strict expected failure. Runs pytest in pytest, on fake machines."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lab.drivers.gaps import Gap
from lab.errors import KnownGapError
from tests.plugin.test_hooks import body, results, run
from tests.support.fakelab import FakeLab, fake_lab

__all__ = ["fake_lab", "run"]

pytest_plugins = ["pytester"]

FAILS = "assert machine.run(['x']).text == 'y'"
THIS = "test_it[6.12-amd64-falco:kmod]"


def gap(**fields: Any) -> Gap:
    return Gap(why="it never did", upstream="example#1", **fields)


def test_a_known_gap_that_shows_is_green_and_no_pass(run: Any, pytester: pytest.Pytester, fake_lab: FakeLab) -> None:
    fake_lab.gaps = (gap(scenario="test_it"),)
    result = run(body(FAILS), "-rx")
    result.assert_outcomes(xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 gap", "XFAIL *gap: it never did (example#1)"])
    assert results(pytester) == {THIS: "gap"}


def test_a_gap_that_is_none_any_more_is_a_failure_of_the_manifest(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    fake_lab.gaps = (gap(scenario="test_it"),)
    result = run(body("pass"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*the manifest of falco:kmod lists a gap here, and the scenario passed: it never did*"]
    )
    assert results(pytester) == {THIS: "failed"}


def test_a_gap_may_be_of_several_scenarios(run: Any, pytester: pytest.Pytester, fake_lab: FakeLab) -> None:
    fake_lab.gaps = (gap(scenario=["test_other", "test_it"]),)
    run(body(FAILS))
    assert results(pytester) == {THIS: "gap"}


def test_a_gap_of_a_call_is_one_of_every_scenario_about_it(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    fake_lab.gaps = (gap(event="openat2"),)
    run("@pytest.mark.syscall('open', 'openat2')\n" + body(FAILS))
    assert results(pytester) == {THIS: "gap"}


def test_a_gap_of_an_attack_is_one_of_the_scenarios_that_make_it(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    fake_lab.gaps = (gap(event="io_uring-open"),)
    run("@pytest.mark.attack('io_uring-open')\n@pytest.mark.syscall('open')\n" + body(FAILS))
    assert results(pytester) == {THIS: "gap"}


@pytest.mark.parametrize(
    "other",
    [
        {"scenario": "test_other"},
        {"event": "connect"},
        {"scenario": "test_it", "kernels": ">=6.13"},
        {"scenario": "test_it", "arches": ("arm64",)},
    ],
)
def test_a_gap_of_something_else_excuses_nothing(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, other: dict[str, Any]
) -> None:
    fake_lab.gaps = (gap(**other),)
    run("@pytest.mark.syscall('openat')\n" + body(FAILS))
    assert results(pytester) == {THIS: "failed"}


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ("machine.run(['splat']); assert 0", "failed"),
        ("machine.run(['die'])", "lost"),
        ("machine.run(['silent'])", "error"),
        ("raise ValueError('a mistake')", "failed"),
        ("raise UnsupportedError('not here')", "unsupported"),
    ],
)
def test_a_gap_excuses_no_splat_no_lost_machine_and_no_mistake(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, lines: str, verdict: str
) -> None:
    fake_lab.gaps = (gap(scenario="test_it"),)
    run(body(lines))
    assert results(pytester) == {THIS: verdict}


def test_a_driver_that_does_not_build_as_its_manifest_says_is_a_gap(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    fake_lab.errors["6.12"] = KnownGapError("it does not build (known)")
    result = run(body("pass"), "-rx")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 gap", "XFAIL *gap: it does not build (known)"])
    assert results(pytester) == {THIS: "gap"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scenario": "a", "build": "b"},
        {"event": "b", "build": "c"},
        {"build": "b", "says": "c"},
        {"event": "b", "kernels": "6.x"},
    ],
)
def test_a_gap_that_says_not_what_of_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        gap(**fields)


@pytest.mark.parametrize(("says", "verdict"), [("nor was it", "gap"), ("[after-kernel-copy]", "failed")])
def test_a_gap_that_says_how_it_fails_is_no_other_failure(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, says: str, verdict: str
) -> None:
    fake_lab.gaps = (gap(scenario="test_it", says=says),)
    run(body("assert machine.run(['x']).text == 'y', 'nor was it'"))
    assert results(pytester) == {THIS: verdict}


@pytest.mark.parametrize(("scenario", "event", "verdict"), [
    ("test_it", "openat2", "gap"), ("test_it", "open", "failed"), ("test_other", "openat2", "failed"),
    ("test_it", ["open", "openat2"], "gap"), ("test_it", ["open", "creat"], "failed"),
])  # fmt: skip
def test_a_gap_of_a_scenario_and_a_call_is_of_that_scenario_about_that_call(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, scenario: str, event: str | list[str], verdict: str
) -> None:
    fake_lab.gaps = (gap(scenario=scenario, event=event),)
    run("@pytest.mark.syscall('openat2')\n" + body(FAILS))
    assert results(pytester) == {THIS: verdict}


@pytest.mark.parametrize(
    ("sees", "about", "verdict"),
    [
        (("openat",), "connect", "unsupported"),
        (("openat", "connect"), "connect", "passed"),
        ((), "connect", "passed"),
    ],
)
def test_a_scenario_about_what_a_driver_does_not_look_at_is_unsupported(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, sees: tuple[str, ...], about: str, verdict: str
) -> None:
    fake_lab.sees = sees
    run(f"@pytest.mark.syscall({about!r})\n" + body("pass"), "--allow-unsupported")
    assert results(pytester) == {THIS: verdict}


def test_what_a_driver_does_not_look_at_excuses_no_scenario_about_more(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    fake_lab.sees = ("openat",)
    run("@pytest.mark.syscall('connect', 'openat')\n" + body(FAILS))
    assert results(pytester) == {THIS: "failed"}


def test_a_scenario_that_is_about_no_call_runs_for_every_driver(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    fake_lab.sees = ("openat",)
    run(body("pass"))
    assert results(pytester) == {THIS: "passed"}


def test_why_a_driver_does_not_look_at_a_call_is_told(run: Any, fake_lab: FakeLab) -> None:
    fake_lab.sees = ("openat",)
    result = run("@pytest.mark.syscall('connect')\n" + body("pass"), "-rs")
    result.stdout.fnmatch_lines(["*unsupported: falco:kmod does not look at connect (its manifest: sees)*"])


SPLAT = "machine.run(['splat'])"


@pytest.mark.parametrize(
    ("fields", "lines", "verdict"),
    [
        ({"splat": "WARNING"}, SPLAT, "gap"),
        ({"splat": "nothing like it"}, SPLAT, "failed"),
        ({}, SPLAT, "failed"),
        ({"splat": "WARNING"}, FAILS, "failed"),
        ({"splat": "WARNING"}, "pass", "failed"),
        ({"splat": "WARNING", "by_chance": True}, "pass", "passed"),
        ({"splat": "WARNING", "by_chance": True}, SPLAT, "gap"),
        ({"splat": "WARNING"}, f"{SPLAT}; machine.run(['die'])", "gap"),
        ({"splat": "WARNING"}, f"{SPLAT}; machine.run(['die-quietly'])", "gap"),
        ({"splat": "WARNING", "by_chance": True}, "machine.run(['die'])", "lost"),
        ({"splat": "panic"}, f"{SPLAT}; machine.run(['panic'])", "lost"),
        ({"splat": "panic"}, "machine.run(['panic'])", "gap"),
        ({"says": "elsewhere", "by_chance": True}, FAILS, "failed"),
    ],
)
def test_a_complaint_of_the_kernels_is_a_gap_only_where_the_gap_names_it(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, fields: dict[str, Any], lines: str, verdict: str
) -> None:
    fake_lab.gaps = (gap(scenario="test_it", **fields),)
    run(body(lines))
    assert results(pytester) == {THIS: verdict}


@pytest.mark.parametrize(("splat", "verdict"), [("poll_fds", "gap"), ("other_call", "lost"), ("[scap]", "lost")])
def test_a_machine_that_died_without_a_word_is_a_gap_where_it_was_in_what_the_gap_names(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, monkeypatch: pytest.MonkeyPatch, splat: str, verdict: str
) -> None:
    monkeypatch.setattr("lab.plugin.gaps.stacks", lambda _: "CPU 0:\n  poll_fds+0x103 [scap]\n")
    fake_lab.gaps = (gap(scenario="test_it", splat=splat),)
    run(body("machine.run(['die'])"))
    assert results(pytester) == {THIS: verdict}


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ("machine.run(['announce', 'x: poll']); machine.run(['die'])", "gap"),
        (f"machine.run(['announce', 'x: poll']); {SPLAT}; machine.run(['die'])", "gap"),
        (
            "machine.run(['announce', 'x: poll']); machine.run(['announce', 'x: done']); machine.run(['die'])",
            "lost",
        ),
        ("machine.run(['announce', 'x: ppoll']); machine.run(['die'])", "lost"),
        ("machine.run(['die'])", "lost"),
        (f"machine.run(['announce', 'x: poll']); {SPLAT}", "failed"),
        ("machine.run(['announce', 'x: poll']); assert 0", "failed"),
    ],
)
def test_a_machine_that_died_is_a_gap_where_an_actor_last_said_that_it_does_what_the_gap_names(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, lines: str, verdict: str
) -> None:
    fake_lab.gaps = (gap(scenario="test_it", doing="x: poll"),)
    run(body(lines))
    assert results(pytester) == {THIS: verdict}


@pytest.mark.parametrize(("lines", "verdict"), [(SPLAT, "gap"), ("assert 0, 'dropped'", "gap"), ("assert 0", "failed")])
def test_a_scenario_may_fail_as_any_of_its_gaps_says(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, lines: str, verdict: str
) -> None:
    chance = {"scenario": "test_it", "by_chance": True}
    fake_lab.gaps = (gap(**chance, splat="WARNING"), gap(**chance, says="dropped"))
    run(body(lines))
    assert results(pytester) == {THIS: verdict}


@pytest.mark.parametrize(
    "fields",
    [
        {"splat": "WARNING", "says": "x"},
        {"splat": "WARNING", "doing": "x"},
        {"by_chance": True},
        {"splat": "WARNING", "variant": "x"},
        {"doing": "x", "param": "y"},
    ],
)
def test_what_a_gap_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        gap(scenario="test_it", **fields)


def test_who_was_told_of_a_complaint_is_named() -> None:
    with pytest.raises(ValidationError, match="upstream who was told"):
        Gap(scenario="test_it", splat="WARNING", why="it never did")
