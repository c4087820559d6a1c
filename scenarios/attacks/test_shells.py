"""A shell at the other end of a connection is reported: the connection, its place as input and output, the shell.

Source: Falco's rules "Redirect STDOUT/STDIN to Network Connection" and "Netcat Remote Code Execution in Container";
MITRE ATT&CK T1059.004.
"""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing

ACTOR = "reverse_shell"
CONNECT = {"type": "connect", "comm": ACTOR}
MOVED = {"type": {"dup2", "dup3"}, "comm": ACTOR}
SHELL = {"type": "execve", "filename": "/bin/sh", "args": ["-i"]}


@pytest.mark.attack("reverse-shell")
@pytest.mark.syscall("dup2", "dup3")
@pytest.mark.controls(
    altered("port", **CONNECT),
    missing(**CONNECT),
    missing(**MOVED, result=0),
    altered("args", **SHELL),
    missing(**SHELL),
)
def test_a_reverse_shell_is_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        did = actor(ACTOR, "cat /etc/shadow")
    shell = did["shell"]
    seen.one(**CONNECT, pid=shell, address="127.0.0.1", port=did["port"], result=0)
    for number in (0, 1, 2):
        seen.one(**MOVED, pid=shell, result=number)
    seen.one(**SHELL, pid=shell, result=0)
    seen.one(type={"open", "openat"}, comm="cat", ppid=shell, name="/etc/shadow")
    seen.one(type="procexit", pid=shell, status=did["status"] << 8)
