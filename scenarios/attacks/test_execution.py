"""A program is reported when it runs, wherever it was: in memory, in /dev/shm, removed, preloaded, setuid.

Source: Falco's rules "Fileless execution via memfd_create", "Execution from /dev/shm", "Linker preload"; MITRE ATT&CK
T1620 (reflective loading), T1574.006 (LD_PRELOAD), T1548.001 (setuid).
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing, profiled

LOADER = "fileless_exec"
MEMFD: dict[str, Any] = {"type": "memfd_create", "comm": LOADER}
BEGINS = {"execve", "execveat", "procexec"}


def ran(way: str) -> ParameterSet:
    marks = [
        pytest.mark.attack(f"memfd-{way}"),
        pytest.mark.syscall("memfd_create"),
        pytest.mark.controls(missing(**MEMFD), altered("name", **MEMFD), missing(type=BEGINS, args=[])),
        *profiled(way, set(), {"fexecve"}),
    ]
    return pytest.param(way, id=way, marks=marks)


@pytest.mark.parametrize("way", [ran(way) for way in ("fexecve", "execve")])
def test_a_program_run_from_memory_is_reported_as_such(events: Events, actor: Actor, way: str) -> None:
    with events.capture() as seen:
        did = actor(LOADER, way, "-")
    made = seen.one(**MEMFD, pid=did["pid"], name="payload")
    # Its only program without arguments; that it is the memfd, a driver says, or the descriptor's number does.
    begun = seen.all(type=BEGINS, pid=did["pid"], args=[])
    assert begun, f"no execve, execveat or procexec of {way} is reported"
    memory = {b"/dev/fd/%d" % made.result, b"/proc/self/fd/%d" % made.result} if made.result else set()
    told = [event for event in begun if event.value("from_memfd") or event.value("filename") in memory]
    assert told, f"nothing tells that what {way} ran was in memory: {begun}"


SHM: dict[str, Any] = {"type": "execve", "filename": "/dev/shm/fileless_exec"}


@pytest.mark.attack("dev-shm")
@pytest.mark.syscall("execve")
@pytest.mark.controls(altered("filename", **SHM), missing(**SHM))
def test_a_program_run_from_shared_memory_is_reported(machine: Machine, events: Events, actor: Actor) -> None:
    actor(LOADER)
    machine.run(["cp", "/run/lab/bin/fileless_exec", "/dev/shm/fileless_exec"])
    with events.capture() as seen:
        machine.run(["/dev/shm/fileless_exec"])
    seen.one(**SHM, result=0)


REMOVED: dict[str, Any] = {"type": {"unlink", "unlinkat"}, "comm": LOADER, "name": "/work/dropped"}


@pytest.mark.profile("full")
@pytest.mark.attack("removed-program")
@pytest.mark.syscall("execveat")
@pytest.mark.controls(missing(**REMOVED), missing(type=BEGINS, args=[]))
def test_a_program_that_was_removed_before_it_runs_is_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        did = actor(LOADER, "copy", "/work/dropped")
    seen.one(type={"open", "openat"}, pid=did["pid"], name="/work/dropped", flags={"O_CREAT"})
    seen.one(**REMOVED, pid=did["pid"])
    begun = seen.all(type=BEGINS, pid=did["pid"], args=[])
    assert begun, "no execve, execveat or procexec of what was removed is reported"


PRELOADED: dict[str, Any] = {"type": {"open", "openat"}, "comm": "true", "name": "/work/evil.so"}


@pytest.mark.attack("ld-preload")
@pytest.mark.syscall("open", "openat")
@pytest.mark.controls(altered("name", **PRELOADED), missing(**PRELOADED))
def test_a_preloaded_library_is_reported_as_opened_by_the_program(machine: Machine, events: Events) -> None:
    machine.write("/work/evil.so", b"no library")
    with events.capture() as seen:
        machine.run(["env", "LD_PRELOAD=/work/evil.so", "/usr/bin/true"])
    seen.one(**PRELOADED)


SETUID: dict[str, Any] = {"type": {"execve", "procexec"}, "comm": "id", "euid": 0}


@pytest.mark.attack("setuid")
@pytest.mark.syscall("setresuid")
@pytest.mark.controls(missing(type="setresuid", comm="setpriv"), altered("euid", **SETUID), missing(**SETUID))
def test_a_setuid_program_is_reported_with_the_user_that_it_becomes(machine: Machine, events: Events) -> None:
    machine.run(["cp", "/usr/bin/id", "/work/id"])
    with events.capture() as seen:
        machine.run(["chmod", "4755", "/work/id"])
        ran_as = machine.run(["setpriv", "--reuid", "1000", "--clear-groups", "/work/id", "-u"])
    assert ran_as.stdout == b"0\n", "the program did not become root"
    seen.one(type={"chmod", "fchmodat"}, comm="chmod", name="/work/id", result=0)
    seen.one(type="setresuid", comm="setpriv", result=0)
    seen.some(**SETUID)
