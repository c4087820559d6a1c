"""The fixtures `gdb`, `kgdb` and `vmcore` in scenarios, and `lab debug`, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import arches
from lab.debugging.debuginfo import DebugSource
from lab.errors import RequestError
from lab.matrix.provision import Lab
from tests.support.runs import ROOT, Place

GDB = """
import pytest
from lab.scenario import answered

@pytest.mark.controls(answered("gdb.string", b"/etc/shadow", word="shadow"))
def test_the_path_is_still_the_programs_when_the_kernel_copies_it(machine, gdb):
    gdb.attach()
    gdb.break_at("do_sys_openat2")
    gdb.start(["cat", "/etc/hostname"])
    stop = gdb.run_to(lambda at: at.string(at.argument(1)) == b"/etc/hostname")
    path = gdb.string(gdb.argument(1))
    assert path == b"/etc/hostname", path
    assert any("openat" in frame for frame in gdb.backtrace().frames)
    gdb.detach()
    assert gdb.finish().status == 0

@pytest.mark.controls(answered("gdb.argument", 0, word="0"))
def test_b_that_fails_while_its_guest_stands_still(machine, gdb):
    gdb.attach()
    gdb.interrupt()
    assert gdb.argument(0) == "never"

@pytest.mark.controls(answered("gdb.break_at", 0, word="0"))
def test_c_whose_function_was_inlined(machine, gdb):
    gdb.attach()
    gdb.break_at("no_such_function")
"""
KGDB = """
import pytest
from lab.scenario import answered

@pytest.mark.controls(answered("kgdb.tasks", [], word="sysdig"))
def test_the_consumer_is_a_task_in_the_kernels_own_debugger(machine, kgdb):
    kgdb.enter()
    names = {task.comm for task in kgdb.tasks()}
    assert "sysdig" in names, f"no sysdig among {names}"
    assert "kgdb_breakpoint" in kgdb.backtrace()
    assert "scap" in kgdb.command("lsmod")
    kgdb.go()
    assert machine.run(["echo", "alive"]).text == "alive\\n"

@pytest.mark.controls(answered("kgdb.wait", "", word="Breakpoint"))
def test_a_breakpoint_of_its_own_is_come_to(machine, kgdb):
    kgdb.enter()
    kgdb.breakpoint("proc_do_uts_string")
    kgdb.go()
    machine.run(["sh", "-c", "(sleep 0.3; cat /proc/sys/kernel/hostname) >/dev/null 2>&1 &"])
    why = kgdb.wait()
    assert "Breakpoint" in why, f"not Breakpoint: {why}"
    kgdb.command("bc *")
    kgdb.go()
    assert machine.run(["echo", "alive"]).text == "alive\\n"
"""
VMCORE = """
import pytest
from lab.scenario import answered

class Empty:
    def tasks(self):
        return []

@pytest.mark.controls(answered("vmcore.take", Empty(), word="sysdig"))
def test_a_running_guests_memory_has_its_tasks_and_the_drivers_variables(machine, vmcore):
    core = vmcore.take()
    tasks = {task.comm: task for task in core.tasks()}
    assert "sysdig" in tasks, f"no sysdig among {set(tasks)}"
    assert any("schedule" in frame for frame in core.stack(1))
    assert core.variable("max_consumers") > 0
    assert machine.run(["echo", "alive"]).text == "alive\\n"
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.folders() == [], "a machine's folder stayed"


def scenarios(place: Place, text: str) -> str:
    path = place.root / "my-scenarios" / "test_own.py"
    path.parent.mkdir()
    path.write_text(text)
    return str(path)


def command(*words: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from lab.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {name: value for name, value in os.environ.items() if name != "TMUX"} | settings
    argv = [sys.executable, "-c", program, *words]
    return subprocess.run(
        argv, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=300, check=False
    )


def built(lab: Lab) -> str:
    """The request for the kernel with KGDB, when it has been built here (make debug-kernels)."""
    try:
        lab.kernels.resolve("build:6.12+kgdb", arches.AMD64)
    except RequestError as error:
        pytest.skip(f"not run here: {error.what} ({error.hint})")
    return "build:6.12+kgdb"


def test_a_scenario_stops_the_kernel_and_one_that_fails_there_is_judged_with_its_guest_running(place: Place) -> None:
    result = place.run(place.pytest(scenarios(place, GDB), "--kernel", "6.12", "--arch", "amd64"))
    assert "1 passed" in result.stdout, result.stdout
    assert "1 failed" in result.stdout, result.stdout
    assert "1 error" in result.stdout, result.stdout
    assert "lost" not in result.stdout.lower().replace("0 lost", ""), result.stdout
    assert "has no symbol no_such_function" in result.stdout
    (bundle,) = place.bundles.glob("run-*/test_b_*")
    stacks = (bundle / "backtraces.txt").read_text()
    assert "CPU 0" in stacks
    assert "CPU 1" in stacks


def test_a_kernel_without_kgdb_makes_a_scenario_unsupported_and_names_one_that_has_it(place: Place) -> None:
    result = place.run(place.pytest(scenarios(place, KGDB), "--kernel", "6.12", "--arch", "amd64", "-rs"))
    assert "2 unsupported" in result.stdout, result.stdout
    assert "lacks CONFIG_KGDB; build:6.12+kgdb has it" in result.stdout


def test_the_kernels_own_debugger_is_entered_lists_tasks_stops_and_goes_on(lab: Lab, place: Place) -> None:
    result = place.run(place.pytest(scenarios(place, KGDB), "--kernel", built(lab), "--arch", "amd64"))
    assert "2 passed" in result.stdout, result.stdout


def test_a_dump_has_tasks_stacks_and_variables(lab: Lab, place: Place) -> None:
    kernel = lab.kernels.resolve("6.12", arches.AMD64).fetch()
    if DebugSource(lab.store, lab.settings, lab.notice).find(kernel) is None:
        pytest.skip("not run here: lab kernel fetch --debug 6.12 fetches 300 MB")
    result = place.run(place.pytest(scenarios(place, VMCORE), "--kernel", "6.12", "--arch", "amd64"))
    assert "1 passed" in result.stdout, result.stdout


def test_lab_debug_stops_where_it_was_told_and_knows_the_modules_functions() -> None:
    commands = "bt 3\ninfo line syscall_exit_probe\ninfo symbol $pc\nquit\n"
    words = ("debug", "--kernel", "6.12", "--driver", "falco:kmod", "--break", "hrtimer_interrupt")
    done = command(*words, stdin=commands)
    assert done.returncode == 0, done.stderr
    assert "hit Breakpoint 1, " in done.stdout, done.stdout
    assert "hrtimer_interrupt" in done.stdout.partition("#0 ")[2].partition("\n")[0]
    assert 'of "/build/main.c"' in done.stdout
    assert "starts at address" in done.stdout


@pytest.mark.slow
def test_two_sessions_at_once_in_a_deep_folder_do_not_meet(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir(mode=0o700)
    words = ("debug", "--kernel", "6.12", "--break", "hrtimer_interrupt")
    commands = "info symbol $pc\nquit\n"
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(command, *words, stdin=commands, LAB_RUN_DIR=str(deep)) for _ in range(2)]
    for done in (session.result() for session in both):
        assert done.returncode == 0, done.stderr
        assert "hrtimer_interrupt in section" in done.stdout, done.stdout
    assert [path.name for path in deep.iterdir() if path.is_dir()] == []


def test_a_gdb_that_is_not_there_is_told_before_a_guest_is_booted() -> None:
    done = command("debug", "--gdb", "no-such-gdb")
    assert done.returncode == 3
    assert done.stderr.strip() == "lab: no-such-gdb is not installed\nNext: apt-get install gdb-multiarch"
