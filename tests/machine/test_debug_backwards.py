"""`lab debug --rr` and `lab debug --kgdb`: gdb steps back from a crash, and speaks with the kernel's own debugger."""

from __future__ import annotations

import re

import pytest

from lab.errors import ExitCode
from lab.matrix.provision import Lab
from tests.machine.test_debug_runs import built, command

# Where it is; one instruction back; the same one again; and back to where it was called from.
BACK = """
printf "at %lx\\n", $pc
reverse-stepi
printf "before %lx\\n", $pc
info symbol $pc
stepi
printf "again %lx\\n", $pc
quit
"""
CRASH = ("sh", "-c", "echo recorded; echo c >/proc/sysrq-trigger")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_gdb_stands_at_the_crash_and_steps_back_from_it(arch: str) -> None:
    done = command("debug", "--rr", "--kernel", "6.12", "--arch", arch, "--", *CRASH, stdin=BACK)
    assert done.returncode == 0, done.stderr
    assert "recorded" in done.stderr, "what the command prints is shown"
    at, before, again = re.findall(r"(?:at|before|again) ([0-9a-f]{16})$", done.stdout, re.MULTILINE)
    assert "panic" in done.stdout.partition("Breakpoint 2, ")[2].partition("\n")[0], done.stdout
    assert before != at
    assert again == at
    # The instruction before a function's first is its call.
    assert "sysrq_handle_crash" in done.stdout.partition(f"before {before}")[2].partition("again")[0], done.stdout


@pytest.mark.slow
def test_the_driver_is_loaded_in_the_recording_and_its_functions_are_gone_back_to() -> None:
    words = ("--kernel", "6.12", "--driver", "falco:kmod", "--break", "scap:syscall_exit_probe")
    done = command("debug", "--rr", *words, "--", "cat", "/etc/hostname", stdin="bt 2\nreverse-continue\nquit\n")
    assert done.returncode == 0, done.stderr
    assert "lab: status 0" in done.stderr
    assert done.stdout.count("hit Breakpoint 1") + done.stdout.count("\nBreakpoint 1, syscall_exit_probe") == 2


def test_a_function_that_is_none_is_told_before_anything_is_recorded() -> None:
    words = ("--kernel", "6.12", "--break", "no_such_function")
    done = command("debug", "--rr", *words, "--", "true", stdin="quit\n")
    assert done.returncode == ExitCode.CHECK_FAILED
    assert "has no symbol no_such_function" in done.stderr
    assert "recording" not in done.stderr


def test_gdb_speaks_with_the_kernels_own_debugger_over_a_serial_line(lab: Lab) -> None:
    commands = "bt 2\nprint init_uts_ns.name.release\nstepi\nquit\n"
    words = ("--kernel", built(lab), "--arch", "amd64", "--break", "process_one_work")
    done = command("debug", "--kgdb", *words, stdin=commands)
    assert done.returncode == 0, done.stderr
    assert "kgdb_breakpoint ()" in done.stdout, done.stdout
    assert "hit Breakpoint 1, process_one_work" in done.stdout
    assert 'release = "6.12' in done.stdout or '"6.12.' in done.stdout


def test_a_kernel_without_kgdb_is_unsupported_and_one_that_has_it_is_named() -> None:
    done = command("debug", "--kgdb", "--kernel", "6.12")
    assert done.returncode == ExitCode.CHECK_FAILED
    assert "lacks CONFIG_KGDB; build:6.12+kgdb has it" in done.stderr
