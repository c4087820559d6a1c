"""What a driver must report of processes: their beginning, their programs, their end."""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing

pytestmark = pytest.mark.profile("smoke")

ECHO = {"type": "execve", "comm": "echo", "result": 0}
# A child is made by any of these, by the C library's choice.
FORKS = {"fork", "vfork", "clone", "clone3"}


@pytest.mark.syscall("execve")
@pytest.mark.controls(altered("args", **ECHO), altered("filename", **ECHO), altered("parent", **ECHO), missing(**ECHO))
def test_an_exec_is_reported_with_its_arguments_and_parent(machine: Machine, events: Events) -> None:
    with events.capture() as seen:
        machine.run(["sh", "-c", "/usr/bin/echo 'one two' three; true"])
    seen.one(**ECHO, filename="/usr/bin/echo", args=["one two", "three"], parent="sh")


@pytest.mark.syscall("fork", "exit_group")
@pytest.mark.controls(
    altered("result", type=FORKS, comm="fork_and_exit"),
    missing(type="procexit", comm="fork_and_exit"),
    altered("status", type="procexit", comm="fork_and_exit"),
    altered("ppid", type="procexit", comm="fork_and_exit"),
)
def test_a_child_is_reported_when_it_is_made_and_when_it_ends(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        family = actor("fork_and_exit")
    seen.one(type=FORKS, pid=family["parent"], result=family["child"])
    # The status as wait(2) has it: the exit code in the second byte.
    seen.one(type="procexit", pid=family["child"], ppid=family["parent"], status=family["status"] << 8)
