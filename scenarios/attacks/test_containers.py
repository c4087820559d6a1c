"""What happens in a container is reported as in that container, and who leaves it as leaving.

Containers are real ones: crun, cgroup v2, namespaces, an overlay as root.

Source: Falco's rules "Drop and execute new binary in container", "Change thread namespace", "Mount Launched in
Privileged Container"; MITRE ATT&CK T1611 (escape to host); CVE-2019-5736 and its kind through the host's /proc.
"""

from __future__ import annotations

from typing import Any

import pytest

from lab.drivers.capture import Capture, Events
from lab.drivers.event import Event
from lab.errors import UnsupportedError
from lab.machines.containers import Container, Containers
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing

# A driver tells a process's cgroup when it begins a program: by path, or by its inode number.
EXEC = {"execve", "procexec"}
OPENS = {"open", "openat"}


def within(seen: Capture, box: Container, comm: str, **more: Any) -> Event:
    """The beginning of that program in that container."""
    __tracebackhide__ = True
    if not any(event.value("cgroup") is not None for event in seen.events):
        raise UnsupportedError("this driver tells no process's cgroup")
    return seen.some(type=EXEC, comm=comm, cgroup={box.cgroup, box.cgroup_id}, result={0, None}, **more)


@pytest.mark.profile("smoke")
@pytest.mark.attack("container-exec")
@pytest.mark.syscall("procexec")
@pytest.mark.controls(altered("cgroup", type=EXEC, comm="id"), missing(type=EXEC, comm="id"))
def test_a_program_in_a_container_is_reported_with_the_containers_cgroup(
    machine: Machine, events: Events, containers: Containers
) -> None:
    box, other = containers.start("web"), containers.start("other")
    with events.capture() as seen:
        containers.run(box, ["id"])
        containers.run(other, ["ls"])
        machine.run(["true"])
    within(seen, box, "id")
    within(seen, other, "ls")
    outside = [event.value("cgroup") for event in seen.all(type=EXEC, comm="true")]
    assert box.cgroup_id not in outside, f"a program outside is told in the container: {outside}"


KINDS = ("mnt", "pid", "net", "uts", "ipc", "cgroup", "user")


@pytest.mark.profile("full")
@pytest.mark.attack("container-namespaces")
@pytest.mark.syscall("procexec")
@pytest.mark.controls(*(altered(f"ns_{kind}", type=EXEC, comm="id") for kind in KINDS))
def test_a_program_in_a_container_is_reported_with_the_containers_namespaces(
    events: Events, containers: Containers
) -> None:
    box = containers.start("web")
    with events.capture() as seen:
        containers.run(box, ["id"])
    ran = within(seen, box, "id")
    if ran.value("ns_pid") is None:
        raise UnsupportedError("this driver tells no namespaces by their inodes")
    for kind in KINDS:
        told = ran.value(f"ns_{kind}")
        assert told == box.namespaces[kind], f"ns_{kind} is {told!r}, and the container's is {box.namespaces[kind]}"


@pytest.mark.profile("full")
@pytest.mark.attack("container-vpid")
@pytest.mark.syscall("procexec")
@pytest.mark.controls(altered("vpid", type=EXEC, comm="cat"))
def test_a_program_in_a_container_is_reported_with_its_number_there(events: Events, containers: Containers) -> None:
    box = containers.start("web")
    with events.capture() as seen:
        there = containers.run(box, ["sh", "-c", "echo $$; exec /bin/cat /etc/hostname"])
    ran = within(seen, box, "cat")
    if ran.value("vpid") is None:
        raise UnsupportedError("this driver tells no process numbers of PID namespaces")
    number = int(there.text.split()[0])
    assert ran.value("vpid") == number, f"vpid is {ran.value('vpid')!r}, not {number}"


DROPPED = {"type": OPENS, "name": "/tmp/dropped", "flags": {"O_CREAT"}}


@pytest.mark.profile("full")
@pytest.mark.attack("drop-and-execute")
@pytest.mark.syscall("procexec")
@pytest.mark.controls(
    missing(**DROPPED), altered("cgroup", type=EXEC, comm="dropped"), missing(type=EXEC, comm="dropped")
)
def test_a_program_that_is_dropped_in_a_container_and_run_is_reported(events: Events, containers: Containers) -> None:
    box = containers.start("web")
    with events.capture() as seen:
        words = "cat /bin/busybox >/tmp/dropped; chmod 755 /tmp/dropped; /tmp/dropped; true"
        containers.run(box, ["sh", "-c", words])
    shell = within(seen, box, "sh")
    seen.one(**DROPPED, pid=shell.pid)
    within(seen, box, "dropped")


READ = {"type": OPENS, "comm": "cat", "name": "/host/proc/1/root/etc/shadow"}


@pytest.mark.profile("full")
@pytest.mark.attack("host-proc")
@pytest.mark.syscall("procexec")
@pytest.mark.controls(altered("name", **READ), missing(**READ), altered("cgroup", type=EXEC, comm="cat"))
def test_a_host_file_read_from_a_container_by_the_hosts_proc_is_reported(
    events: Events, containers: Containers
) -> None:
    box = containers.start("web", privileged=True, host=True)
    with events.capture() as seen:
        containers.run(box, ["cat", "/host/proc/1/root/etc/shadow"])
    reader = within(seen, box, "cat")
    seen.one(**READ, pid=reader.pid, flags={"O_RDONLY"})


SETNS = {"type": "setns", "comm": "nsenter"}


@pytest.mark.attack("nsenter")
@pytest.mark.syscall("setns", "procexec")
@pytest.mark.controls(
    missing(**SETNS), altered("cgroup", type=EXEC, comm="nsenter"), missing(type=EXEC, comm="findmnt")
)
def test_an_escape_by_nsenter_is_reported(events: Events, containers: Containers) -> None:
    box = containers.start("web", privileged=True, host=True)
    with events.capture() as seen:
        containers.run(box, ["nsenter", "--mount=/host/proc/1/ns/mnt", "/usr/bin/findmnt"], check=False)
    escaped = within(seen, box, "nsenter")
    seen.one(**SETNS, pid=escaped.pid, result=0)
    # It is still in the container's cgroup, and runs a program of the host's.
    within(seen, box, "findmnt", pid=escaped.pid)


UNSHARED = {"type": "unshare", "comm": "unshare"}


@pytest.mark.attack("unshare")
@pytest.mark.syscall("unshare")
@pytest.mark.controls(altered("flags", **UNSHARED), missing(**UNSHARED))
def test_new_namespaces_are_reported(machine: Machine, events: Events) -> None:
    with events.capture() as seen:
        machine.run(["unshare", "--user", "--net", "true"])
    seen.one(**UNSHARED, flags={"CLONE_NEWUSER", "CLONE_NEWNET"}, result=0)


MOUNT = {"type": "mount", "comm": "mount"}


@pytest.mark.profile("full")
@pytest.mark.attack("container-mount")
@pytest.mark.syscall("mount")
@pytest.mark.controls(
    altered("target", **MOUNT, target="/tmp"),
    missing(**MOUNT),
    altered("cgroup", type=EXEC, comm="mount"),
)
def test_a_mount_of_the_hosts_proc_in_a_container_is_reported(events: Events, containers: Containers) -> None:
    box = containers.start("web", privileged=True, host=True)
    with events.capture() as seen:
        containers.run(box, ["mount", "--bind", "/host/proc", "/tmp"])
    mounter = within(seen, box, "mount")
    seen.one(**MOUNT, pid=mounter.pid, source="/host/proc", target="/tmp", result=0)


PACKET = {"type": "socket", "comm": "attack_calls", "domain": 17}


@pytest.mark.profile("full")
@pytest.mark.attack("packet-socket")
@pytest.mark.syscall("socket")
@pytest.mark.controls(altered("domain", **PACKET), missing(**PACKET), altered("cgroup", type=EXEC, comm="attack_calls"))
def test_a_packet_socket_in_a_container_is_reported(
    machine: Machine, events: Events, containers: Containers, actor: Actor
) -> None:
    box = containers.start("web")
    actor("attack_calls", "openat2", "/etc/hostname")  # brings it into the guest
    machine.run(["cp", "/run/lab/bin/attack_calls", f"{box.root}/bin/attack_calls"])
    with events.capture() as seen:
        containers.run(box, ["/bin/attack_calls", "packet"])
    maker = within(seen, box, "attack_calls")
    seen.one(**PACKET, pid=maker.pid)
