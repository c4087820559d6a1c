"""Each of the event-generator's 23 default actions is reported so that its rule could conclude what it should.

The actions are done here by the programs of a guest; in a container where the rule asks for one.

Source: falcosecurity/event-generator, events/syscall/*.go (the actions that are enabled by default), and
falcosecurity/rules, whose rules they are to trigger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Capture, Events
from lab.errors import UnsupportedError
from lab.machines.containers import Container, Containers
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import Control, missing

OPENS = {"open", "openat"}
EXEC = {"execve", "procexec"}
Expected = dict[str, Any]


@dataclass(frozen=True)
class Action:
    """One action: `does` is a shell's words, `events` what must be reported. In a container its program, `comm`, must
    be told to run in the container's cgroup."""

    name: str
    does: str
    events: tuple[Expected, ...] = field(default=())
    comm: str = ""


FILES = (
    Action(
        "ClearLogActivities", ": >/var/log/syslog",
        ({"type": OPENS, "name": "/var/log/syslog", "flags": {"O_TRUNC"}},),
    ),
    Action(
        "CreateHardlinkOverSensitiveFiles", "ln /etc/shadow /etc/shadow_link",
        ({"type": {"link", "linkat"}, "oldpath": "/etc/shadow", "newpath": "/etc/shadow_link", "result": 0},),
    ),
    Action(
        "CreateSymlinkOverSensitiveFiles", "ln -s /etc /work/etc_link",
        ({"type": {"symlink", "symlinkat"}, "target": "/etc", "linkpath": "/work/etc_link", "result": 0},),
    ),
    Action(
        "DirectoryTraversalMonitoredFileRead", "cat /etc/../etc/../etc/passwd",
        ({"type": OPENS, "comm": "cat", "name": "/etc/../etc/../etc/passwd"},),
    ),
    Action(
        "ReadSensitiveFileUntrusted", "cat /etc/shadow",
        ({"type": OPENS, "comm": "cat", "name": "/etc/shadow", "flags": {"O_RDONLY"}},),
    ),
    Action(
        "ReadSensitiveFileTrustedAfterStartup", "cp /usr/bin/dash /work/httpd; /work/httpd -c 'read x </etc/shadow'",
        (
            {"type": "execve", "comm": "httpd", "filename": "/work/httpd"},
            {"type": OPENS, "comm": "httpd", "name": "/etc/shadow"},
        ),
    ),
)  # fmt: skip

PROGRAMS = (
    Action(
        "ExecutionFromDevShm", "cp /usr/bin/true /dev/shm/run-me; /dev/shm/run-me",
        ({"type": "execve", "filename": "/dev/shm/run-me", "comm": "run-me", "result": 0},),
    ),
    Action(
        "FilelessExecutionViaMemfdCreate", "/run/lab/bin/fileless_exec fexecve -",
        (
            {"type": "memfd_create", "comm": "fileless_exec", "name": "payload"},
            {"type": {"execve", "execveat", "procexec"}, "args": []},
        ),
    ),
    Action(
        "FindAwsCredentials", "find /work -iname .aws/credentials",
        ({"type": "execve", "comm": "find", "args": ["/work", "-iname", ".aws/credentials"]},),
    ),
    Action(
        "LaunchSuspiciousNetworkToolOnHost", "cp /usr/bin/true /work/nmap; /work/nmap -sS 127.0.0.1",
        ({"type": "execve", "comm": "nmap", "args": ["-sS", "127.0.0.1"]},),
    ),
    Action(
        "PtraceAntiDebugAttempt", "/run/lab/bin/inject_code traceme",
        ({"type": "ptrace", "request": {0, "PTRACE_TRACEME"}},),
    ),
    Action(
        "PtraceAttachedToProcess", "/run/lab/bin/inject_code ptrace",
        ({"type": "ptrace", "request": {16, "PTRACE_ATTACH"}, "result": 0},),
    ),
    Action(
        "RemoveBulkDataFromDisk", ": >/work/data; shred -u /work/data",
        ({"type": "execve", "comm": "shred", "args": ["-u", "/work/data"]},),
    ),
    Action(
        "RunShellUntrusted", "cp /usr/bin/dash /work/httpd; /work/httpd -c '/usr/bin/dash -c :; :'",
        ({"type": "execve", "comm": "dash", "parent": "httpd"},),
    ),
    Action(
        "SearchPrivateKeysOrPasswords", "find /work -name id_rsa",
        ({"type": "execve", "comm": "find", "args": ["/work", "-name", "id_rsa"]},),
    ),
    Action(
        "SystemUserInteractive", "setpriv --reuid 1 --regid 1 --clear-groups dash -c :",
        ({"type": "setresuid", "comm": "setpriv", "result": 0}, {"type": EXEC, "comm": "dash", "euid": 1}),
    ),
    Action(
        "DisallowedSSHConnectionNonStandardPort", "cp /usr/bin/dbclient /work/ssh; /work/ssh -y -p 443 127.0.0.1",
        ({"type": "connect", "comm": "ssh", "address": "127.0.0.1", "port": 443},),
    ),
)  # fmt: skip

IN_CONTAINERS = (
    Action("DebugfsLaunchedInPrivilegedContainer", "ln -s busybox /bin/debugfs; debugfs", comm="debugfs"),
    Action(
        "DetectReleaseAgentFileContainerEscapes", "mkdir /tmp/x; cat /dev/null >/tmp/x/release_agent",
        ({"type": OPENS, "name": "/tmp/x/release_agent", "flags": {"O_WRONLY"}},),
        "sh",
    ),
    Action(
        "DropAndExecuteNewBinaryInContainer", "cat /bin/busybox >/tmp/dropped; chmod 755 /tmp/dropped; /tmp/dropped",
        ({"type": OPENS, "name": "/tmp/dropped", "flags": {"O_CREAT"}},),
        "dropped",
    ),
    Action("MountLaunchedInPrivilegedContainer", "/bin/mount -t tmpfs tmpfs /host", comm="mount"),
    Action(
        "NetcatRemoteCodeExecutionInContainer", "/bin/nc -e /bin/sh 127.0.0.1 22",
        ({"type": "execve", "comm": "nc", "args": ["-e", "/bin/sh", "127.0.0.1", "22"]},),
        "nc",
    ),
    Action(
        "PacketSocketCreatedInContainer", "/bin/attack_calls packet",
        ({"type": "socket", "comm": "attack_calls", "domain": 17},),
        "attack_calls",
    ),
)  # fmt: skip

GROUPS = {"files": FILES, "programs": PROGRAMS, "containers": IN_CONTAINERS}
# What the scenarios are about that not every watcher looks at.
SUBJECTS = {"files": ("linkat", "symlinkat"), "programs": ("ptrace", "memfd_create"), "containers": ("procexec",)}


def controls(actions: Sequence[Action]) -> list[Control]:
    """What must be there, taken away, each in its turn."""
    events = [event for action in actions for event in action.events]
    return [missing(**event) for event in events] + [
        missing(type=EXEC, comm=action.comm) for action in actions if action.comm
    ]


def groups(*names: str) -> list[ParameterSet]:
    return [
        pytest.param(
            GROUPS[name],
            id=name,
            marks=[
                pytest.mark.attack(f"event-generator-{name}"),
                pytest.mark.syscall(*SUBJECTS[name]),
                pytest.mark.controls(*controls(GROUPS[name])),
            ],
        )
        for name in names
    ]


def demand(actions: Sequence[Action], seen: Capture, box: Container | None = None) -> None:
    """AssertionError with every action of which something is not reported."""
    __tracebackhide__ = True
    wrong = []
    for action in actions:
        within = [{"type": EXEC, "comm": action.comm, "cgroup": {box.cgroup, box.cgroup_id}}] if box else []
        for event in (*action.events, *within):
            try:
                seen.some(**event)
            except AssertionError as error:
                wrong.append(f"{action.name}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("actions", groups("files", "programs"))
def test_what_an_action_does_on_the_host_is_reported(
    machine: Machine, events: Events, actor: Actor, actions: Sequence[Action]
) -> None:
    actor("fileless_exec")
    actor("inject_code", "traceme")
    with events.capture() as seen:
        for action in actions:
            machine.run(["sh", "-c", action.does], check=False)
    demand(actions, seen)


@pytest.mark.parametrize("actions", groups("containers"))
def test_what_an_action_does_in_a_container_is_reported_with_the_container(
    machine: Machine, events: Events, containers: Containers, actor: Actor, actions: Sequence[Action]
) -> None:
    box = containers.start("web", privileged=True)
    actor("attack_calls", "openat2", "/etc/hostname")
    machine.run(["cp", "/run/lab/bin/attack_calls", f"{box.root}/bin/attack_calls"])
    with events.capture() as seen:
        for action in actions:
            containers.run(box, ["sh", "-c", action.does], check=False)
    if not any(event.value("cgroup") is not None for event in seen.events):
        raise UnsupportedError("this driver tells no process's cgroup")
    demand(actions, seen, box)
