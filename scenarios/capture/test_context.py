"""Who made a call: however a process came to be, and however it changed, its events say who it is.

Source: clone(2), execve(2), pid_namespaces(7); falcosecurity/libs test/drivers;
falcosecurity/libs#1111 (what a script's process is called).
"""

from __future__ import annotations

import pytest

from lab.calls.judge import agrees
from lab.calls.words import Prefix
from lab.drivers.capture import Events
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing

VICTIM = "/work/of-the-family"
REMOVED = {"type": "unlinkat", "name": VICTIM}
TRUE = {"type": "execve", "comm": "true", "filename": "/usr/bin/true", "result": 0}
SCRIPT = {"type": "execve", "filename": "/work/script", "result": 0}
ITSELF = {"type": "execve", "filename": "/proc/self/exe", "result": 0}
ENDED = {"type": "procexit", "comm": "family"}
CLONED = {"type": "clone3", "comm": "family"}
# A C library makes a vfork by either of these.
VFORKED = {"type": {"vfork", "clone"}, "comm": "family"}
# A driver may cut arguments, to a page at the least.
LEAST_OF_ARGUMENTS = 3500


@pytest.mark.syscall("execve")
@pytest.mark.controls(altered("filename", **SCRIPT), altered("comm", **SCRIPT), missing(**SCRIPT))
def test_a_program_started_by_way_of_a_script_is_reported_as_the_script(machine: Machine, events: Events) -> None:
    machine.write("/work/script", b"#!/usr/bin/cat\nof the script\n")
    machine.run(["chmod", "755", "/work/script"])
    with events.capture() as seen:
        said = machine.run(["/work/script"])
    assert "of the script" in said.text
    seen.one(**SCRIPT, comm="script")


@pytest.mark.syscall("execve")
@pytest.mark.controls(altered("filename", **ITSELF), altered("args", **ITSELF), missing(**ITSELF))
def test_a_program_that_executes_itself_is_reported_with_the_name_that_it_used(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("family", "self")
    seen.one(**ITSELF, pid=family["child"], comm="exe", args=["done"])


@pytest.mark.syscall("vfork", "clone", "execve")
@pytest.mark.controls(
    altered("result", **VFORKED), missing(**VFORKED), altered("ppid", **TRUE), altered("args", **TRUE), missing(**TRUE)
)
def test_a_child_by_vfork_and_its_program_are_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("family", "vfork")
    seen.one(**VFORKED, pid=family["parent"], result=family["child"])
    seen.one(**TRUE, pid=family["child"], ppid=family["parent"], args=["of-a-vfork"])


@pytest.mark.syscall("clone3", "unlinkat", "exit_group")
@pytest.mark.controls(
    altered("result", **CLONED), altered("pid", **REMOVED), missing(**REMOVED), altered("status", **ENDED)
)
def test_a_child_in_a_new_pid_namespace_is_reported_by_the_number_that_its_parent_has_for_it(
    machine: Machine, events: Events, actor: Actor
) -> None:
    machine.write(VICTIM, b"")
    with events.capture() as seen:
        family = actor("family", "namespace")
    seen.one(**CLONED, pid=family["parent"], result=family["child"])
    seen.one(**REMOVED, pid=family["child"], ppid=family["parent"], result=0)
    seen.one(**ENDED, pid=family["child"], status=family["status"])


@pytest.mark.syscall("unlinkat")
@pytest.mark.controls(altered("tid", **REMOVED), altered("pid", **REMOVED), missing(**REMOVED))
def test_a_threads_call_is_reported_with_its_thread_and_its_process(
    machine: Machine, events: Events, actor: Actor
) -> None:
    machine.write(VICTIM, b"")
    with events.capture() as seen:
        family = actor("family", "thread")
    (thread,) = family["tids"]
    assert thread != family["child"]
    seen.one(**REMOVED, pid=family["child"], tid=thread, result=0)


@pytest.mark.syscall("exit_group")
@pytest.mark.controls(altered("tid", **ENDED), altered("pid", **ENDED), altered("status", **ENDED), missing(**ENDED))
def test_the_end_of_a_group_of_threads_is_reported_for_each_of_them(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("family", "group")
    assert len(family["tids"]) == 4
    for thread in family["tids"]:
        seen.one(**ENDED, pid=family["child"], tid=thread, status=family["status"])


@pytest.mark.profile("full")
@pytest.mark.syscall("execve")
@pytest.mark.controls(altered("pid", **TRUE), altered("args", **TRUE), missing(**TRUE))
def test_a_program_that_a_thread_starts_is_reported_as_its_process(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("family", "thread-exec")
    # The kernel gives the thread its process's number, in the middle of the call.
    seen.one(**TRUE, pid=family["child"], tid=family["child"], args=["of-a-thread"])


@pytest.mark.syscall("unlinkat", "setresuid")
@pytest.mark.controls(altered("caller_uid", **REMOVED), missing(**REMOVED))
def test_a_process_that_changed_its_user_is_reported_as_the_new_one(
    machine: Machine, events: Events, actor: Actor
) -> None:
    machine.write(VICTIM, b"")
    machine.run(["chmod", "777", "/work"])
    with events.capture() as seen:
        family = actor("family", "user", "1000")
    seen.one(**REMOVED, pid=family["child"], result=0, caller_uid=1000)


@pytest.mark.syscall("execve")
@pytest.mark.controls(altered("args", **TRUE), missing(**TRUE))
def test_of_very_long_arguments_the_beginning_is_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("family", "long")
    started = seen.one(**TRUE, pid=family["child"])
    args = started.value("args")
    assert isinstance(args, tuple), "args are missing"
    truth = b"\0".join(bytes([ord("a") + number % 26]) * 100 for number in range(1, 300))
    right = agrees(b"\0".join(args), Prefix(truth, LEAST_OF_ARGUMENTS))
    assert right, f"args are not the first {LEAST_OF_ARGUMENTS} bytes and more: {args[:2]}, ... {args[-1:]}"


@pytest.mark.syscall("execve")
@pytest.mark.controls(altered("env", **TRUE), missing(**TRUE))
def test_a_programs_environment_is_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("family", "environment")
    seen.one(**TRUE, pid=family["child"], env=["A=1", "B=", b"C=\xff"])
