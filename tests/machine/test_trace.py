"""`lab trace` against machines that run, and around a command in a fresh one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from lab.errors import ExitCode
from lab.evidence.bpftrace import look
from lab.machines.fork import Fork
from tests.support.runs import ROOT

CODE = "import sys; from lab.cli.main import entrypoint; sys.argv[0] = 'lab'; entrypoint()"
TRACER = "/sys/kernel/tracing"
OFF = f"cd {TRACER} && cat current_tracer set_ftrace_filter set_graph_function && ls instances"
OPENED = 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args.filename)); @[comm] = count(); }'


def started(fork: Fork, *words: str) -> subprocess.Popen[bytes]:
    """`lab trace` of that machine, by a process of its own."""
    environment = {**os.environ, "LAB_RUN_DIR": str(fork.folder.path.parent)}
    argv = [sys.executable, "-c", CODE, "trace", fork.folder.name, *words]
    return subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def trace(fork: Fork, *words: str) -> tuple[int, str, str]:
    """Its status, output and standard error."""
    with started(fork, *words) as program:
        out, err = program.communicate(timeout=500)
    return program.returncode, out.decode(), err.decode()


def switched_off(fork: Fork) -> bool:
    """Whether nothing is being traced in the guest."""
    said = fork.run(["sh", "-c", OFF]).text
    return said.replace("#### all functions enabled ####", "").split() == ["nop"]


def nameless(comm: str, err: str) -> list[str]:
    """How the graph shows tasks of that name that the kernel had not switched away from when a line was read."""
    return [f"<...>-{pid} " for pid in re.findall(rf"\b(\d+) is {comm}\b", err)]


def test_the_graph_of_a_function_around_a_command(fork: Fork) -> None:
    status, out, err = trace(fork, "--functions", "do_sys_openat2", "--depth", "2", "--", "cat", "/etc/hostname")
    assert status == 0, err
    calls = [line for line in out.splitlines() if "do_sys_openat2" in line]
    assert any(task in line for line in calls for task in ("cat-", *nameless("cat", err))), out + err
    assert "lab: " not in out
    assert fork.host_name in err, "what the command printed is on standard error"
    assert switched_off(fork)


def test_events_come_while_they_happen_until_ctrl_c(fork: Fork) -> None:
    with started(fork, "--events", "sched:sched_process_exec") as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert b"Ctrl-C ends it" in program.stderr.readline()
        fork.run(["cat", "/etc/hostname"])
        assert b"sched_process_exec" in program.stdout.readline()
        program.send_signal(signal.SIGINT)
        assert program.wait(120) == ExitCode.OK
    assert switched_off(fork)


@pytest.mark.slow
def test_a_trace_that_is_killed_leaves_nothing_on(fork: Fork) -> None:
    with started(fork, "--functions", "vfs_read") as program:
        assert program.stderr is not None
        assert b"Ctrl-C ends it" in program.stderr.readline()
        status, _, err = trace(fork, "--functions", "vfs_write", "--for", "1")
        assert (status, "already" in err) == (ExitCode.USAGE, True), err
        assert not switched_off(fork)
        program.kill()
        program.wait(60)
    until = f"until [ $(cat {TRACER}/current_tracer) = nop ]; do sleep 0.1; done"
    fork.run(["sh", "-c", until], deadline=10.0)
    assert fork.run(["sh", "-c", "ls /run/lab/*.pid"], check=False).stdout == b""


def test_a_function_that_is_none_and_a_machine_that_is_none_are_one_sentence(fork: Fork) -> None:
    status, _, err = trace(fork, "--functions", "no_such_function", "--for", "1")
    assert status == ExitCode.USAGE
    assert "lab: the guest's kernel cannot trace 'no_such_function'" in err
    assert switched_off(fork)


@pytest.mark.slow
def test_bpftrace_is_put_into_a_machine_that_runs_and_its_maps_are_printed_at_the_end(fork: Fork) -> None:
    status, out, err = trace(fork, "-e", OPENED, "--", "cat", "/etc/hostname")
    assert status == 0, err
    assert "cat /etc/hostname" in out.splitlines(), out
    assert "@[cat]: " in out
    assert "Attached" not in out + err
    assert look(fork).program == "/run/lab/tools/bpftrace"
    # It is there now; a program that is none is told in bpftrace's words.
    status, _, err = trace(fork, "-e", "BEGIN { nonsense", "--for", "1")
    assert status == ExitCode.USAGE
    assert "lab: bpftrace does not take the program" in err
    assert "syntax" in err


def in_a_fresh_guest(arch: str, *words: str) -> tuple[str, str]:
    """What `lab trace` of a guest of its own prints, and says."""
    argv = ["trace", "--kernel", "6.12", "--arch", arch, *words, "--", "cat", "/etc/hostname"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *argv], cwd=ROOT, capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_bpftrace_in_a_fresh_guest_is_part_of_its_image(arch: str) -> None:
    out, err = in_a_fresh_guest(arch, "-e", OPENED)
    assert "cat /etc/hostname" in out.splitlines(), out
    assert "putting bpftrace" not in err


@pytest.mark.slow
def test_the_graph_of_a_function_on_another_architecture() -> None:
    out, _ = in_a_fresh_guest("arm64", "--functions", "do_sys_openat2", "--depth", "2")
    assert any("cat-" in line and "do_sys_openat2" in line for line in out.splitlines()), out
