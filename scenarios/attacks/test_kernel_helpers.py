"""What makes the kernel itself run a program is reported: the file that is written, and the program that then runs.

Nobody calls execve for it: the kernel runs it as root, in the first namespaces, from wherever it was provoked.

Source: CVE-2022-0492 (release_agent); Falco's rule "Detect release_agent File Container Escapes"; "Container escapes by
core_pattern" (Pwning Kubernetes, 2019), for which Falco has no rule; modprobe_path in exploits since CVE-2021-22555.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing, profiled

EVIL = "/work/evil"
RUNS = {"type": {"execve", "procexec"}, "comm": "evil"}
WAIT = ["timeout", "60", "sh", "-c", "until [ -e /work/done ]; do sleep 0.05; done"]


@dataclass(frozen=True)
class Door:
    """A file whose content is a program that the kernel runs, and what makes it; both a shell's words."""

    name: str
    file: str
    write: str
    provoke: str
    prepare: str = "true"


DOORS = (
    Door("core_pattern", "/proc/sys/kernel/core_pattern", f"|{EVIL}", "sh -c 'kill -SEGV $$'"),
    Door("modprobe_path", "/proc/sys/kernel/modprobe", EVIL, "/run/lab/bin/attack_calls modprobe"),
    Door(
        "release_agent", "/work/cgroup/release_agent", EVIL, "sh -c 'echo $$ >/work/cgroup/child/cgroup.procs'",
        "mkdir /work/cgroup && mount -t cgroup -o none,name=lab cgroup /work/cgroup && mkdir /work/cgroup/child && "
        "echo 1 >/work/cgroup/child/notify_on_release",
    ),
)  # fmt: skip


def doors() -> list[ParameterSet]:
    found = []
    for door in DOORS:
        opened = {"type": {"open", "openat"}, "comm": "sh", "name": door.file}
        marks = [
            pytest.mark.attack(door.name),
            pytest.mark.syscall("procexec"),
            pytest.mark.controls(altered("name", **opened), missing(**opened), missing(**RUNS)),
            *profiled(door.name, {"core_pattern"}),
        ]
        found.append(pytest.param(door, id=door.name, marks=marks))
    return found


@pytest.mark.parametrize("door", doors())
def test_what_makes_the_kernel_run_a_program_is_reported(
    machine: Machine, events: Events, actor: Actor, door: Door
) -> None:
    actor("attack_calls", "openat2", "/etc/hostname")  # brings it into the guest
    machine.write(EVIL, b"#!/bin/sh\n: >/work/done\n")
    machine.run(["chmod", "755", EVIL])
    ready = machine.run(["sh", "-c", door.prepare], check=False)
    if ready.status:
        raise UnsupportedError(f"this kernel has no {door.name}: {ready.stderr.decode(errors='replace').strip()}")
    with events.capture() as seen:
        machine.run(["sh", "-c", f"printf %s '{door.write}' >{door.file}"])
        machine.run(["sh", "-c", door.provoke], check=False)
        machine.run(WAIT, deadline=60)
    seen.one(type={"open", "openat"}, comm="sh", name=door.file, flags={"O_WRONLY"})
    seen.some(**RUNS, result={0, None})
