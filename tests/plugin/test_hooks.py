"""What becomes of scenarios: verdicts, exit codes, the plan, the evidence. Runs pytest in pytest, on fake machines."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ArchiveError, MachineLostError, RequestError, UnsupportedError
from lab.evidence.repro import read_repro
from lab.machines.template import TemplateError
from lab.matrix.forks import NoTemplateError
from tests.support.fakelab import FakeLab, fake_lab

__all__ = ["fake_lab"]

pytest_plugins = ["pytester"]

HEAD = """
import pytest
from lab.scenario import altered, answered, missing, logged
from lab.errors import UnsupportedError
from lab.machines.result import Result
NOTHING = Result((), 0, b"nothing", b"")
echoes = pytest.mark.controls(answered("machine.run", NOTHING, word="hello"))
"""
PASSING = """
@echoes
def test_good(machine):
    assert machine.run(["hello"]).text == "hello"
"""


@pytest.fixture
def run(pytester: pytest.Pytester, fake_lab: FakeLab) -> Any:  # noqa: ARG001 - it stands in for the lab
    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_scenario=HEAD + source)
        # Hypothesis would be imported again for every summary, a second each.
        return pytester.runpytest_inprocess("--arch", "amd64", "-p", "no:hypothesispytest", *arguments)

    return run


def results(pytester: pytest.Pytester) -> dict[str, str]:
    """What stands on disk: the last verdict of every scenario, by its function's name."""
    found = {}
    for path in Path(pytester.path).glob("lab-bundles/*/results.jsonl"):
        for row in map(json.loads, path.read_text().splitlines()):
            found[row["scenario"].partition("::")[2]] = row["verdict"]
    return found


def body(lines: str) -> str:
    return f"@echoes\ndef test_it(machine):\n    assert machine.run(['hello']).text == 'hello'\n    {lines}\n"


def test_a_scenario_that_passes_and_whose_controls_fail_is_green(run: Any, pytester: pytest.Pytester) -> None:
    result = run(PASSING)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 passed", "negative controls that failed as they should: 1"])
    assert results(pytester) == {"test_good[6.12-amd64-falco:kmod]": "passed"}


@pytest.mark.parametrize(
    ("lines", "verdict", "outcome"),
    [
        ("assert machine.run(['x']).text == 'y'", "failed", {"failed": 1}),
        ("machine.run(['splat'])", "failed", {"failed": 1}),
        ("machine.run(['splat']); assert 0", "failed", {"failed": 1}),
        ("machine.run(['splat']); pytest.skip('looked away')", "failed", {"failed": 1}),
        ("machine.run(['die'])", "lost", {"errors": 1}),
        ("machine.run(['panic'])", "lost", {"errors": 1}),
        ("machine.run(['die-quietly'])", "lost", {"errors": 1}),
        ("machine.run(['die-quietly']); assert 0", "lost", {"errors": 1}),
        ("machine.run(['die-quietly']); pytest.fail('no')", "lost", {"errors": 1}),
        ("machine.run(['silent'])", "error", {"errors": 1}),
        ("machine.run(['hang'])", "error", {"errors": 1}),
        ("raise ValueError('a mistake')", "failed", {"failed": 1}),
        ("raise UnsupportedError('not here')", "unsupported", {"skipped": 1}),
        ("pytest.xfail('known')", "gap", {"xfailed": 1}),
    ],
)
def test_every_end_has_its_verdict(
    run: Any, pytester: pytest.Pytester, lines: str, verdict: str, outcome: dict[str, int]
) -> None:
    result = run(body(lines))
    assert results(pytester) == {"test_it[6.12-amd64-falco:kmod]": verdict}
    result.stdout.fnmatch_lines([f"6.12-amd64-falco:kmod: 1 {verdict}"])
    counted = Counter({name: number for name, number in result.parseoutcomes().items() if name != "warnings"})
    assert counted == outcome
    assert result.ret == (0 if verdict == "gap" else 1)


def test_a_splat_is_shown_and_explains_the_assertion_that_it_broke(run: Any) -> None:
    result = run(body("machine.run(['splat']); assert 0, 'broken by it'"))
    result.stdout.fnmatch_lines(["*the kernel complained (WARNING: WARNING: CPU: 0 PID: 9 at drivers/x.c:1*"])


def test_a_lost_machine_is_called_so_and_the_next_scenario_gets_a_new_one(run: Any, fake_lab: FakeLab) -> None:
    result = run(body("machine.run(['die'])") + PASSING)
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 passed, 1 lost"])
    assert len(fake_lab.machines) == 2
    assert result.ret == 1


def test_a_failure_leaves_a_bundle_whose_path_is_shown(run: Any, pytester: pytest.Pytester) -> None:
    result = run(body("machine.run(['die'])"))
    (bundle,) = [path.parent for path in Path(pytester.path).glob("lab-bundles/*/*/failure.txt")]
    result.stdout.fnmatch_lines([f"Bundle: *{bundle.name}"])
    assert (bundle / "failure.txt").read_text().startswith("lost\n")
    rerun = (bundle / "rerun").read_text()
    assert "pytest" in rerun
    assert "test_scenario.py::test_it --kernel debian/6.12.1-cloud" in rerun


def test_what_failed_for_a_cell_alone_leaves_the_others(run: Any, fake_lab: FakeLab) -> None:
    fake_lab.errors["5.10"] = ArchiveError("the archive is silent")
    result = run(PASSING, "--kernel", "5.10,6.12")
    result.stdout.fnmatch_lines(["5.10-amd64-falco:kmod: 1 error", "6.12-amd64-falco:kmod: 1 passed"])
    assert result.parseoutcomes() == {"errors": 1, "passed": 1}
    assert result.ret == 1


def test_a_machine_lost_at_its_start_is_lost(run: Any, fake_lab: FakeLab, pytester: pytest.Pytester) -> None:
    fake_lab.errors["6.12"] = MachineLostError("the guest did not come up")
    assert run(PASSING).ret == 1
    assert set(results(pytester).values()) == {"lost"}


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--allow-unsupported"], 0)])
def test_a_cell_in_which_nothing_could_run_is_no_success(
    run: Any, fake_lab: FakeLab, arguments: list[str], code: int
) -> None:
    fake_lab.errors["6.12"] = UnsupportedError("kernel 6.12 lacks CONFIG_MODULES")
    result = run(PASSING, "-rs", *arguments)
    result.stdout.fnmatch_lines(["*unsupported: kernel 6.12 lacks CONFIG_MODULES*"])
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 unsupported"])
    assert (result.ret, result.parseoutcomes()) == (code, {"skipped": 1})


def test_what_was_planned_and_never_reported_is_missing(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_runtest_protocol(item):\n    return True if 'gone' in item.name else None\n")
    result = run(PASSING + PASSING.replace("test_good", "test_gone"))
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 passed, 1 missing", "missing: *test_gone*never reported"])
    assert result.ret == 1


def test_the_plan_is_written_before_anything_runs(run: Any, pytester: pytest.Pytester) -> None:
    run(PASSING, "--kernel", "5.10,6.12", "--bundle-dir", "evidence")
    (plan,) = Path(pytester.path).glob("evidence/run-*/plan.json")
    assert sorted(json.loads(plan.read_text()).values()) == ["5.10-amd64-falco:kmod", "6.12-amd64-falco:kmod"]


def test_what_was_deselected_was_not_planned(run: Any) -> None:
    result = run(PASSING + PASSING.replace("test_good", "test_other"), "-k", "good")
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 passed"])
    assert result.ret == 0


def test_what_failed_last_can_be_run_alone(run: Any) -> None:
    source = PASSING + body("assert 0")
    assert run(source).ret == 1
    result = run(source, "--lf")
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 failed"])
    assert "missing" not in result.stdout.str()


def test_a_scenario_without_a_control_is_refused(run: Any, fake_lab: FakeLab) -> None:
    result = run("def test_free(machine):\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *test_free*has no negative control*"])
    assert fake_lab.machines == []


def test_a_test_without_a_cell_is_nobodys_business(run: Any, pytester: pytest.Pytester) -> None:
    result = run("def test_plain():\n    pass\n")
    assert (result.ret, result.parseoutcomes()) == (0, {"passed": 1})
    assert "verdicts" not in result.stdout.str()
    assert not (pytester.path / "lab-bundles").exists()


def test_a_scenario_that_its_author_skips_is_unsupported(run: Any) -> None:
    result = run(PASSING + PASSING.replace("test_good", "test_other").replace("@", "@pytest.mark.skip('later')\n@"))
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 passed, 1 unsupported"])
    assert result.ret == 0


def test_a_fixture_that_fails_before_the_labs_own_is_an_error(run: Any, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import pytest\n@pytest.fixture(autouse=True)\ndef early(): raise ValueError('no')\n")
    assert run(PASSING).ret == 1
    assert set(results(pytester).values()) == {"error"}


def test_scenarios_run_where_there_is_no_xdist(run: Any) -> None:
    result = run(PASSING, "-p", "no:xdist")
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 passed"])
    assert result.ret == 0


def test_collecting_alone_leaves_nothing(run: Any, pytester: pytest.Pytester) -> None:
    assert run(PASSING, "--collect-only", "-q").ret == 0
    assert not (pytester.path / "lab-bundles").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--arch", "sparc"], "unknown architecture 'sparc'"),
        (["--kernel", "9.99"], "there is no kernel 9.99"),
        (["--driver", "falcon:kmod"], "unknown driver 'falcon'"),
        (["--driver", "falco:bpf9"], "driver falco has no mode 'bpf9'"),
        (["--driver", "falco"], "driver 'falco' names no mode"),
        (["--accel", "hvf"], "*invalid choice: 'hvf'*"),
    ],
)
def test_what_does_not_exist_is_a_usage_error_of_one_sentence(
    run: Any, fake_lab: FakeLab, arguments: list[str], sentence: str
) -> None:
    fake_lab.unknown["9.99"] = RequestError("there is no kernel 9.99", hint="there are: 6.12")
    result = run(PASSING, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{sentence}"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert fake_lab.machines == []


def test_a_range_of_kernels_is_a_cell_for_each(run: Any, fake_lab: FakeLab) -> None:
    fake_lab.several[">=6.1,<7"] = ["6.12", "6.1"]
    result = run(PASSING, "--kernel", "5.10,>=6.1,<7,6.12")
    assert result.ret == 0
    lines = [f"{series}-amd64-falco:kmod: 1 passed" for series in ("5.10", "6.12", "6.1")]
    result.stdout.fnmatch_lines(lines)
    assert result.parseoutcomes() == {"passed": 3}


@pytest.mark.parametrize("kind", [RequestError, ArchiveError])
@pytest.mark.parametrize("arguments", [["--kernel", "all"], []])
def test_a_range_that_cannot_be_known_is_a_usage_error_of_one_sentence(
    run: Any, fake_lab: FakeLab, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], arguments: list[str]
) -> None:
    monkeypatch.setenv("LAB_KERNEL", "all")
    fake_lab.several["all"] = kind("nobody knows the kernels")
    result = run(PASSING, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*nobody knows the kernels"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_wrong_setting_is_a_usage_error_that_names_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CPUS", "many")
    result = run(PASSING)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*LAB_CPUS*"])


@pytest.mark.parametrize(
    ("options", "variable", "offline"), [([], "", False), (["--offline"], "", True), ([], "1", True)]
)
def test_offline_is_an_option_and_a_setting(
    run: Any, monkeypatch: pytest.MonkeyPatch, options: list[str], variable: str, offline: bool
) -> None:
    monkeypatch.setenv("LAB_OFFLINE", variable)
    source = f"""
from lab.plugin.fixtures import SESSION
def test_it(request):
    assert request.config.stash[SESSION].settings.offline is {offline}
"""
    assert run(source, *options).ret == 0


TWO_WAYS = (
    PASSING
    + """
@pytest.mark.boots("its kernel's command line is its own")
@echoes
def test_booted(machine):
    assert machine.run(["hello"]).text == "hello"
"""
)


def test_every_machine_is_booted_when_that_is_asked_for(run: Any, fake_lab: FakeLab) -> None:
    assert run(TWO_WAYS, "--vm", "boot").ret == 0
    assert len(fake_lab.machines) == 2
    assert fake_lab.forks.started == []


def test_machines_are_forked_but_for_what_says_so(run: Any, fake_lab: FakeLab) -> None:
    assert run(TWO_WAYS).ret == 0
    assert len(fake_lab.machines) == 2
    assert fake_lab.forks.started == ["test_good"]


def test_a_scenario_may_ask_for_cpus_that_run_at_the_same_time(run: Any, fake_lab: FakeLab) -> None:
    racing = (
        PASSING
        + """
@pytest.mark.parallel("two threads race")
@echoes
def test_racing(machine):
    assert machine.run(["hello"]).text == "hello"
"""
    )
    assert run(racing).ret == 0
    assert fake_lab.forks.how == [{"parallel": False}, {"parallel": True}]


def test_what_a_scenario_records_stands_in_its_result(run: Any, pytester: pytest.Pytester) -> None:
    recording = """
@echoes
def test_recording(machine, record_property):
    record_property("wrong", "3 of 20")
    assert machine.run(["hello"]).text == "hello"
"""
    run(PASSING.partition("@echoes")[0] + recording)
    (path,) = Path(pytester.path).glob("lab-bundles/*/results.jsonl")
    assert json.loads(path.read_text())["recorded"] == {"wrong": "3 of 20"}


def test_a_cell_whose_machine_cannot_be_made_ready_is_booted_and_the_run_says_so(run: Any, fake_lab: FakeLab) -> None:
    fake_lab.forks.error = NoTemplateError("no template of 6.12-amd64: it panicked")
    result = run(PASSING)
    assert result.ret == 0
    assert len(fake_lab.machines) == 1
    result.stdout.fnmatch_lines(["*no template of 6.12-amd64: it panicked: its machines are booted"])


def test_a_template_that_does_not_restore_is_an_error_and_no_failure(
    run: Any, fake_lab: FakeLab, pytester: pytest.Pytester
) -> None:
    fake_lab.forks.error = TemplateError("template 1234 cannot be restored", hint="lab gc template/1234")
    result = run(PASSING)
    assert result.ret == 1
    assert results(pytester) == {"test_good[6.12-amd64-falco:kmod]": "error"}
    result.stdout.fnmatch_lines(["*template 1234 cannot be restored", "*lab gc template/1234"])


def test_what_failed_booted_is_run_again_booted(run: Any) -> None:
    failing = body("assert machine.run(['hello']).text == 'no'")
    run(failing, "--vm", "boot").stdout.fnmatch_lines(["*Run it again: *--vm boot"])
    assert "--vm" not in next(line for line in run(failing).outlines if "Run it again" in line)


def test_what_failed_by_chance_is_run_again_with_its_seed(run: Any, pytester: pytest.Pytester) -> None:
    text = "@echoes\ndef test_it(machine, seed):\n    assert machine.run(['hello']).text == str(seed)\n"
    result = run(text)
    again = next(line for line in result.outlines if "Run it again" in line).split()
    told = next(pytester.path.glob("lab-bundles/*/*/repro.json"))
    assert again[-2] == "--fuzz-seed"
    assert f"'{again[-1]}'" in result.stdout.str()
    assert read_repro(told.parent)[0][-2:] == again[-2:]
    assert run(text, *again[-2:]).stdout.str().count(f"--fuzz-seed {again[-1]}") == 1


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("open(__file__); raise KeyboardInterrupt", id="a file is open"),
        pytest.param(
            "exec(compile('raise KeyboardInterrupt', 'x', 'exec').replace(co_linetable=b''))", id="at no line of source"
        ),
    ],
)
def test_ctrl_c_between_any_two_instructions_has_no_traceback(pytester: pytest.Pytester, lines: str) -> None:
    pytester.makepyfile(f"def test_it():\n    {lines}\n")
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-W", "error")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    for stream in (result.stdout, result.stderr):
        stream.no_fnmatch_line("*Traceback*")
