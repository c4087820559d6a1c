"""What is done under every driver, and what is right to report of it. Pure data.

The actions are those of images/programs/lab-act.c. What a driver may call a call by is in `calls`: a process's end is
`procexit`. Expected values are as in scenarios; PID, CHILD and RESULT stand for what lab-act printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

_FOLDER = "/work/compare"
_FILE = f"{_FOLDER}/file"
_MADE = f"{_FOLDER}/made"
# As lab-act makes it: of 4095 bytes, the most that there may be.
_LONG_HEAD = _FOLDER + "/." * ((4090 - len(_FOLDER) - len("/./file") + 1) // 2)
LONG_NAME = _LONG_HEAD + "/" * (4095 - len(_LONG_HEAD) - len("file")) + "file"


class Told(Enum):
    """What lab-act told of an action."""

    PID = "pid"
    RESULT = "result"
    CHILD = "child"


@dataclass(frozen=True)
class Action:
    """An action by lab-act's name. Its event is of one of `calls` (those are what a driver must look at to see it) and
    by `who`; `expected` is what it should say. `arches`: where it can be done; everywhere when empty."""

    name: str
    what: str
    calls: frozenset[str]
    expected: Mapping[str, Any]
    who: Told = Told.PID
    arches: frozenset[str] = frozenset()


def _action(name: str, what: str, call: str, /, *, who: Told = Told.PID, arches: str = "", **expected: Any) -> Action:
    found = {"result": Told.RESULT, **expected}
    return Action(name, what, frozenset(call.split()), MappingProxyType(found), who, frozenset(arches.split()))


ACTIONS: tuple[Action, ...] = (
    _action("open", "a file is opened", "openat", name=_FILE, flags={"O_RDWR"}),
    _action("open-missing", "a file is opened that is not there", "openat", name=f"{_FOLDER}/absent"),
    _action("open-long", "a file is opened by a path of 4095 bytes", "openat", name={LONG_NAME, _FILE}),
    _action("open-relative", "a file is opened in a directory that is open", "openat", name={"file", _FILE}),
    _action("openat2", "openat2 opens a file", "openat2", name=_FILE),
    _action("open-by-handle", "a file is opened by its handle", "open_by_handle_at"),
    _action("open-io-uring", "io_uring opens a file", "open openat openat2", name=_FILE),
    _action("open-32-bit", "int 0x80 opens a file in a 64-bit process", "open", arches="amd64", name=_FILE),
    _action("unlink", "a file is removed", "unlinkat", name=_FILE),
    _action("rename", "a file is renamed", "renameat2", oldpath=_FILE, newpath=_MADE),
    _action("link", "a file gets a second name", "linkat", oldpath=_FILE, newpath=_MADE),
    _action("symlink", "a symbolic link is made", "symlinkat", target=_FILE, linkpath=_MADE),
    _action("chmod", "a file is made setuid", "fchmodat", name=_FILE),
    _action("mount", "a file system is mounted", "mount", target=f"{_FOLDER}/place", source="none"),
    _action("connect", "a TCP connection is made", "connect", address="127.0.0.1", port=4010),
    _action("connect-refused", "a TCP connection is refused", "connect", address="127.0.0.1", port=4010),
    _action("connect-ipv6", "a UDP socket is connected by IPv6", "connect", address="::1", port=4010),
    _action("connect-unix", "a connection within the machine is made", "connect", path=f"{_FOLDER}/socket"),
    _action("bind", "a port is taken", "bind", address="127.0.0.1", port=4010),
    _action("sendto", "a datagram is sent", "sendto", address="127.0.0.1", port=4010),
    _action(
        "execve",
        "a program is executed",
        "execve",
        who=Told.CHILD,
        result=0,
        filename="/usr/bin/true",
        args=["one two", "three"],
        ppid=Told.PID,
    ),
    _action(
        "execute-memory",
        "a program is executed that has no file",
        "execveat execve",
        who=Told.CHILD,
        result=0,
        args=["hidden"],
    ),
    _action("memfd", "a file without a name is made", "memfd_create", name="nameless"),
    _action("exit", "a process ends", "procexit", who=Told.CHILD, result={None, 0}, status=42 << 8, ppid=Told.PID),
    _action("setuid", "root becomes somebody else", "setuid", uid=65534),
    _action("kill", "a process is killed", "kill", target=Told.CHILD, sig={9, "SIGKILL"}),
    _action("ptrace", "a process is traced", "ptrace", target=Told.CHILD),
    _action("unshare", "a namespace is left", "unshare", flags={"CLONE_NEWNS"}),
    _action("chroot", "the root is changed", "chroot", name=_FOLDER),
)
