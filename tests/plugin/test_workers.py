"""Scenarios on several workers (pytest-xdist): who resolves, plans and records, and what a dead worker takes with it.

The controller runs in this process, its workers in their own; both have fake machines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab.errors import ArchiveError, RequestError
from lab.plugin.controller import distribute
from tests.plugin.test_hooks import HEAD, body, results
from tests.support.fakelab import FakeLab, fake_lab
from tests.support.runs import ROOT

__all__ = ["fake_lab"]

pytest_plugins = ["pytester"]

# Makes a worker's lab a fake one, too.
CONFTEST = f"""
import sys
from pathlib import Path
import pytest

def pytest_configure(config):
    if hasattr(config, "workerinput"):
        sys.path.insert(0, {str(ROOT)!r})
        from tests.support.fakelab import FakeLab, install
        install(FakeLab(Path.cwd(), in_worker=True), pytest.MonkeyPatch())
"""
DIES = """
    import os, pathlib
    from lab.machines.record import Folder
    Folder(pathlib.Path(os.environ["LAB_RUN_DIR"])).write(os.getpid(), "a machine")
    os.kill(os.getpid(), 9)
"""

Run = Callable[..., pytest.RunResult]


def named(name: str, lines: str = "pass") -> str:
    return body(lines).replace("test_it", f"test_{name}")


FOUR = "".join(named(name) for name in ("one", "two", "three", "four"))


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the run's machines."""
    folder = tmp_path / "machines"
    monkeypatch.setenv("LAB_RUN_DIR", str(folder))
    return folder


@pytest.fixture
def run(pytester: pytest.Pytester, fake_lab: FakeLab, machines: Path) -> Run:  # noqa: ARG001 - stand in for real ones
    def run(
        source: str, *arguments: str, conftest: str = "", asked: Sequence[str] = ("--arch", "amd64")
    ) -> pytest.RunResult:
        pytester.makeconftest(CONFTEST + conftest)
        pytester.makepyfile(test_scenario=HEAD + source)
        return pytester.runpytest_inprocess("-p", "no:hypothesispytest", "-n", "2", *asked, *arguments)

    return run


def written(pytester: pytest.Pytester, name: str) -> str:
    """The file of that name in the run's folder."""
    (path,) = Path(pytester.path).glob(f"lab-bundles/*/{name}")
    return path.read_text()


def test_all_workers_run_scenarios_of_one_cell_and_the_summary_is_that_of_one_process(
    run: Run, pytester: pytest.Pytester
) -> None:
    seen = "import pathlib; assert list(pathlib.Path('lab-bundles').glob('*/plan.json')), 'no plan'"
    result = run("".join(named(name, seen) for name in ("one", "two", "three", "four")), "-v")
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 4 passed", "negative controls that failed as they should: 4"])
    assert {line[:5] for line in result.outlines if "PASSED" in line} == {"[gw0]", "[gw1]"}
    assert result.ret == 0
    assert len(json.loads(written(pytester, "plan.json"))) == 4
    assert len(written(pytester, "results.jsonl").splitlines()) == 4


def test_kernels_are_resolved_once_and_by_the_controller(run: Run, pytester: pytest.Pytester) -> None:
    """A worker that resolves raises; the fake's version says how often it was resolved."""
    result = run(FOUR, "--kernel", "6.12,6.1")
    assert result.ret == 0
    line = "lab: 6.12-amd64-falco:kmod: kernel 6.12.1-fake (6.12-1, fake:archive)"
    assert result.outlines.count(line) == 1
    cells = json.loads(written(pytester, "cells.json"))
    assert [cell["version"] for cell in cells] == ["6.12-1", "6.1-1"]
    # What only those who make the cell know, and they are workers.
    assert [(cell["acceleration"], cell["qemu"]) for cell in cells] == [("tcg", "10.0")] * 2


LIVE = """
@pytest.mark.controls(answered("machine.run", NOTHING, word="hello"), wrong("exit-only", word="name"))
def test_live(machine, scenario):
    assert machine.run(['hello']).text == 'hello'
    assert {condition}, "name is wrong"
"""


@pytest.mark.parametrize(("sees", "outcomes"), [(True, {"passed": 2}), (False, {"passed": 1, "failed": 1})])
def test_live_controls_are_judged_by_workers_too_and_run_where_they_are_asked_for(
    run: Run, sees: bool, outcomes: dict[str, int]
) -> None:
    condition = "'+exit-only' not in scenario.cell.driver" if sees else "True"
    source = "from lab.scenario import wrong\n" + LIVE.format(condition=condition)
    result = run(source, "--controls", asked=("--arch", "amd64", "--driver", "tap:modern-bpf"))
    assert result.parseoutcomes() == outcomes
    ran = {line.partition(": ")[0] for line in result.outlines if line.startswith("6.12-") and " kernel " not in line}
    assert ran == {"6.12-amd64-tap:modern-bpf", "6.12-amd64-tap+exit-only:modern-bpf"}


def test_a_kernel_that_cannot_be_reached_reaches_workers_as_the_same_error(run: Run, fake_lab: FakeLab) -> None:
    fake_lab.unknown["5.10"] = ArchiveError("the archive is silent", hint="wait for it")
    result = run(FOUR, "--kernel", "5.10,6.12")
    result.stdout.fnmatch_lines(["the archive is silent", "Next: wait for it"])
    result.stdout.fnmatch_lines(["5.10-amd64-falco:kmod: 4 error", "6.12-amd64-falco:kmod: 4 passed"])
    assert result.parseoutcomes() == {"errors": 4, "passed": 4}


@pytest.mark.parametrize("asked", [("--kernel", "9.99"), ()])
def test_what_does_not_exist_is_a_usage_error_of_one_sentence(
    run: Run, fake_lab: FakeLab, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester, asked: tuple[str, ...]
) -> None:
    """With or without a word on the command line; in the second case workers have collected before it is found."""
    monkeypatch.setenv("LAB_KERNEL", "9.99")
    fake_lab.unknown["9.99"] = RequestError("there is no kernel 9.99", hint="there are: 6.12")
    result = run(FOUR, asked=asked)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: there is no kernel 9.99"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "missing" not in result.stdout.str()
    assert not (pytester.path / "lab-bundles").exists()


def test_a_scenario_without_a_control_is_refused(run: Run) -> None:
    result = run(FOUR + "def test_free(machine):\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *test_free*has no negative control*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_tests_without_a_cell_are_nobodys_business(
    run: Run, fake_lab: FakeLab, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    monkeypatch.setenv("LAB_KERNEL", "9.99")
    fake_lab.unknown["9.99"] = RequestError("there is no kernel 9.99")
    result = run("def test_plain():\n    pass\n", asked=())
    assert (result.ret, result.parseoutcomes()) == (0, {"passed": 1})
    assert "verdicts" not in result.stdout.str()
    assert not (pytester.path / "lab-bundles").exists()


def test_a_worker_that_dies_loses_its_own_scenario_only(run: Run, pytester: pytest.Pytester, machines: Path) -> None:
    result = run(named("killed", DIES) + FOUR)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_killed*",
            "its worker died (gw?) while it ran, and its machine with it",
            "Next: *",
            "Bundle: *",
            "Run it again: *",
        ]
    )
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 4 passed, 1 lost"])
    assert result.parseoutcomes() == {"passed": 4, "errors": 1}
    assert result.ret == 1
    assert results(pytester)["test_killed[6.12-amd64-falco:kmod]"] == "lost"
    assert written(pytester, "*/failure.txt").startswith("lost\n\nits worker died (gw")
    rerun = "pytest test_scenario.py::test_killed --kernel 6.12 --arch amd64 --driver falco:kmod\n"
    assert written(pytester, "*/rerun") == rerun
    assert [path for path in machines.iterdir() if path.is_dir()] == []


def test_what_is_sent_to_a_worker_whose_death_nobody_has_heard_of_ends_nothing(run: Run) -> None:
    conftest = """
import os, signal, pytest

@pytest.hookimpl(trylast=True)
def pytest_configure_node(node):
    steal, pid = node.send_steal, node.gateway._rinfo().pid
    def dying(indices):
        os.kill(pid, signal.SIGKILL)
        node.gateway._io.outfile.close()  # as once the pipe is broken
        steal(indices)
    node.send_steal = dying
"""
    slow = named("slow", "import time; time.sleep(1)")
    result = run(slow + "".join(named(f"more_{number}") for number in range(40)), conftest=conftest)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: * passed, * lost"])
    assert "INTERNALERROR" not in result.stdout.str()


def test_what_no_worker_is_left_for_is_missing(run: Run) -> None:
    result = run(named("killed", DIES) + FOUR, "-n", "1", "--max-worker-restart", "0")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 lost, 4 missing"])


def test_the_first_lost_scenario_ends_a_run_that_shall_end_with_the_first_failure(run: Run) -> None:
    result = run(named("killed", DIES) + FOUR + "".join(named(f"more_{number}") for number in range(40)), "-x")
    assert result.ret == pytest.ExitCode.INTERRUPTED  # xdist's, where pytest has 1
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: *1 lost, * missing", "*stopping after 1 failures*"])


def test_what_a_worker_has_to_tell_is_told_once(run: Run) -> None:
    conftest = """
from lab.plugin.fixtures import SESSION
def pytest_runtest_setup(item):
    item.config.stash[SESSION].notice("saving a template")
"""
    result = run(FOUR, conftest=conftest)
    assert result.outlines.count("lab: saving a template") == 1


def test_what_failed_last_is_run_alone_and_nothing_else_is_planned(run: Run, pytester: pytest.Pytester) -> None:
    source = FOUR + named("wrong", "assert 0")
    assert run(source, "-k", "one or wrong").ret == 1
    assert len(results(pytester)) == 2
    result = run(source, "--lf")
    result.stdout.fnmatch_lines(["6.12-amd64-falco:kmod: 1 failed"])
    assert "missing" not in result.stdout.str()


def test_collecting_alone_leaves_nothing(run: Run, pytester: pytest.Pytester) -> None:
    assert run(FOUR, "--collect-only", "-q").ret == 0
    assert not (pytester.path / "lab-bundles").exists()


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["-n", "2"], "worksteal"),
        (["-n", "auto"], "worksteal"),
        (["-n", "2", "--dist", "loadfile"], "loadfile"),
        (["-n", "0"], "no"),
        ([], "no"),
    ],
)
def test_scenarios_are_stolen_unless_the_user_says_how_they_are_handed_out(
    pytester: pytest.Pytester, arguments: list[str], chosen: str
) -> None:
    config = pytester.parseconfig(*arguments)
    distribute(config)
    assert config.option.dist == chosen


def test_a_worker_that_replaces_another_has_the_controllers_root(
    fake_lab: FakeLab,  # noqa: ARG001 - it stands in for the lab
    machines: Path,  # noqa: ARG001 - nothing may lie anywhere else
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = pytester.mkdir("scenarios")
    # The first worker dies as it begins to collect, when a folder for bundles has come to be there.
    dies = f"""
def pytest_collection(session):
    import os
    bundles = Path({str(pytester.path)!r}, "bundles")
    if getattr(session.config, "workerinput", {{}}).get("workerid") == "gw0":
        bundles.mkdir(exist_ok=True)  # the other worker may have been here first
        os.kill(os.getpid(), 9)
"""
    (place / "conftest.py").write_text(CONFTEST + dies)
    (place / "test_scenario.py").write_text(HEAD + FOUR)
    # Nothing in common with the folder that pytest is started in, and no ini file.
    monkeypatch.chdir("/")
    folders = ["--bundle-dir", f"{pytester.path}/bundles"]
    result = pytester.runpytest_inprocess(str(place), "-p", "no:hypothesispytest", "-n", "2", *folders)
    result.stdout.fnmatch_lines(["*: 4 passed"])


def test_a_worker_that_dies_before_it_has_begun_is_one_sentence(run: Run, pytester: pytest.Pytester) -> None:
    # What execnet says when the other side is gone at once.
    ends = "def pytest_xdist_setupnodes():\n    raise EOFError('expected 1 bytes, got 0')\n"
    result = run(FOUR, conftest=ends)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a worker died before it had begun: nothing was run", "*Next: run it again"])
    assert not list(Path(pytester.path).glob("lab-bundles/*/results.jsonl"))
