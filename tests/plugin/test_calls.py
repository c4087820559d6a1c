"""A call's variants are judged one by one, and a gap of one of them excuses no other. On fake machines."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugin.test_gaps import THIS, gap
from tests.plugin.test_hooks import results, run
from tests.support.fakelab import FakeLab, fake_lab

__all__ = ["fake_lab", "run"]

pytest_plugins = ["pytester"]

# The one event of the fake machine is an openat of pid 10 that returned 3, by the name /etc/hostname.
SCENARIO = """
from lab.calls.spec import Call, Step, Variant
from lab.calls.words import number, text

def variant(name, *args, fails=0):
    return Variant(name, Step("openat", (number(-100), *args)), fails)

GOOD = variant("success", text("/etc/hostname", "name"))
NULL = variant("NULL", text("/other", "name"), fails=14)
CALL = Call("openat", (VARIANTS,))
RESULTS = {"success": 3, "NULL": -14}

class Actors:
    def place(self, name):
        return name

    def run(self, *_):
        calls = [{"result": RESULTS[variant.name], "pid": 10, "status": 0} for variant in CALL.variants]
        return {"pid": 10, "calls": calls}

@pytest.fixture
def actors():
    return Actors()

@pytest.mark.syscall("openat")
@pytest.mark.controls(altered("name", type="openat"), altered("result", type="openat"), missing(type="openat"))
def test_it(events, calls):
    lines = calls.script(CALL)
    with events.capture() as seen:
        made = calls.make(lines)
    calls.demand(CALL, made, seen)
"""


def scenario(variants: str) -> str:
    return SCENARIO.replace("VARIANTS", variants)


def test_variants_that_are_reported_right_pass_and_their_controls_fail(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    del fake_lab
    result = run(scenario("GOOD"))
    result.stdout.fnmatch_lines(["negative controls that failed as they should: 3"])
    assert results(pytester) == {THIS: "passed"}


def test_a_variant_that_is_reported_wrong_is_a_failure_that_names_it(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    del fake_lab
    result = run(scenario("GOOD, NULL"))
    result.stdout.fnmatch_lines(["*openat is reported wrong [[]NULL: missing[]]*"])
    assert results(pytester) == {THIS: "failed"}


def test_a_gap_of_one_variant_leaves_the_others_and_their_controls(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    fake_lab.gaps = (gap(event="openat", variant="NULL"),)
    result = run(scenario("GOOD, NULL"), "-rx")
    result.stdout.fnmatch_lines(
        ["negative controls that failed as they should: 3", "XFAIL *gap: it never did (example#1) [[]NULL: missing[]]"]
    )
    assert results(pytester) == {THIS: "gap"}


@pytest.mark.parametrize("fields", [{"variant": "success"}, {"param": "flags"}, {"variant": ["success", "NULL"]}])
def test_a_gap_of_what_is_reported_right_is_a_failure_of_the_manifest(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab, fields: dict[str, Any]
) -> None:
    fake_lab.gaps = (gap(event="openat", **fields), gap(event="openat", variant="NULL"))
    result = run(scenario("GOOD, NULL"))
    result.stdout.fnmatch_lines(["*the manifest lists gaps of openat that were reported right*"])
    assert results(pytester) == {THIS: "failed"}


def test_a_call_whose_variants_are_all_unseen_is_a_gap(run: Any, pytester: pytest.Pytester, fake_lab: FakeLab) -> None:
    fake_lab.gaps = (gap(event="openat", param="missing"),)
    run(scenario("NULL").replace('"/other", "name"', '"/other"').replace("10,", "11,"))
    assert results(pytester) == {THIS: "gap"}


def test_what_a_gap_excuses_is_what_was_seen_and_no_control(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    """The name is wrong, as the manifest says; altered it is another, and the control counts."""
    fake_lab.gaps = (gap(event="openat", param="name"),)
    result = run(scenario("GOOD").replace('"/etc/hostname", "name"', '"/never", "name"'))
    result.stdout.fnmatch_lines(["negative controls that failed as they should: 3"])
    assert results(pytester) == {THIS: "gap"}


def test_a_call_that_the_kernel_has_not_got_is_unsupported(
    run: Any, pytester: pytest.Pytester, fake_lab: FakeLab
) -> None:
    del fake_lab
    run(scenario("NULL").replace("-14", "-38"), "--allow-unsupported")
    assert results(pytester) == {THIS: "unsupported"}
