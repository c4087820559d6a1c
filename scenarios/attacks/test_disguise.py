"""A program that pretends to be another one is reported as what it is, and what is rare is reported at all.

Source: falcosecurity/libs#1111 (a symlink's name for a program's) and #1300 (its trusted path); what a process
writes over its arguments is what its children are told to have (driver/ppm_fillers.c reads mm->arg_start); Vali-Cyber's
"some_weird_syscalls"; libs docs/report.md.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import added, altered, missing, profiled

BEGINS = {"execve", "procexec"}
FORKS = {"fork", "vfork", "clone", "clone3", "procfork"}
RENAMED: dict[str, Any] = {"type": BEGINS, "comm": "harmless"}


@pytest.mark.attack("exec-symlink")
@pytest.mark.syscall("procexec")
@pytest.mark.controls(altered("exe", **RENAMED), missing(**RENAMED))
def test_a_program_that_is_run_by_a_symlink_is_reported_with_its_own_path(machine: Machine, events: Events) -> None:
    machine.run(["ln", "-s", "/usr/bin/id", "/work/harmless"])
    with events.capture() as seen:
        machine.run(["/work/harmless"])
    seen.some(**RENAMED, exe="/usr/bin/id")


SPOOF = "argv_spoof"


@pytest.mark.attack("argv-spoof")
@pytest.mark.syscall("procexec")
@pytest.mark.controls(added(type="clone", comm=SPOOF, args=(b"hhhhhh",)), missing(type=BEGINS, comm=SPOOF))
def test_arguments_that_a_process_writes_over_are_not_told_of_its_child(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        did = actor(SPOOF, "secret")
    seen.some(type=BEGINS, pid=did["pid"], args=["secret"])
    seen.none(type=FORKS, comm=SPOOF, args=["hhhhhh"])


CALLS = ("userfaultfd", "pidfd_send_signal", "fsopen", "mount_setattr", "kexec_load")


def rare(call: str) -> ParameterSet:
    marks = [
        pytest.mark.attack(f"rare-{call}"),
        pytest.mark.syscall(call),
        pytest.mark.controls(missing(type=call, comm="rare_calls")),
        *profiled(call, {"userfaultfd"}),
    ]
    return pytest.param(call, id=call, marks=marks)


@pytest.mark.parametrize("call", [rare(call) for call in CALLS])
def test_a_rare_call_is_reported(events: Events, actor: Actor, call: str) -> None:
    with events.capture() as seen:
        did = actor("rare_calls", call)
    if did["result"] == -errno.ENOSYS:
        raise UnsupportedError(f"this kernel has no {call}")
    seen.one(type=call, comm="rare_calls", pid=did["pid"])
