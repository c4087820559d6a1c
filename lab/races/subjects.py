"""The calls whose argument the lab races for: what the argument is before and after, and what is right to report of it.

They are made by a program of the lab's (images/programs/lab-race.c), which finds out by itself what the kernel did.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lab.drivers.event import Event, Value
from lab.errors import RequestError
from lab.races.schedule import Buffer
from lab.races.windows import Window

# As in lab-race.h and lab-race-sockets.h.
_AT = 0x20000000
_NAMES = {"asked": "/work/race/asked", "other": "/work/race/other"}
_PORTS = {"asked": 4001, "other": 4002}
# An execve that succeeded has new memory: behind it there is nothing of the old to be read, or changed.
_WHILE_THE_MEMORY_IS_THERE = (Window.BEFORE_ENTRY, Window.BEFORE_COPY, Window.AFTER_COPY)


@dataclass(frozen=True)
class Subject:
    """A call by the name that lab-race knows. `params` are what drivers call the raced argument, what they
    conclude before what they merely read. `reported` is right for each object that the kernel may have acted on
    ("asked", "other"), `comms` what the process is called at the call's end.
    """

    name: str
    call: str
    params: tuple[str, ...]
    buffer: Buffer
    new: bytes
    reported: Mapping[str, Value]
    windows: tuple[Window, ...] = tuple(Window)
    comms: frozenset[str] = frozenset({"lab-race"})

    def param(self, event: Event) -> str:
        """Of `params`, the one that this event tells the argument by; the last when it does not at all."""
        return next((name for name in self.params if event.value(name) is not None), self.params[-1])


def subject(name: str) -> Subject:
    """The call of that name; RequestError when there is none."""
    if name not in SUBJECTS:
        raise RequestError(f"there are no races for {name!r}", hint=f"one of {', '.join(SUBJECTS)}")
    return SUBJECTS[name]


def _path(name: str, *params: str, call: str = "") -> Subject:
    reported = {which: path.encode() for which, path in _NAMES.items()}
    buffer = Buffer.path(_AT, _NAMES["asked"])
    return Subject(name, call or name, params, buffer, reported["other"] + b"\0", MappingProxyType(reported))


def _address(name: str) -> Subject:
    asked, other = (
        # struct sockaddr_in
        struct.pack("=HH4s8x", socket.AF_INET, socket.htons(_PORTS[which]), bytes((127, 0, 0, 1)))
        for which in ("asked", "other")
    )
    return Subject(name, name, ("port",), Buffer(_AT, asked), other, MappingProxyType(dict(_PORTS)))


def _execve() -> Subject:
    found = _path("execve", "filename")
    return Subject(
        **{**vars(found), "windows": _WHILE_THE_MEMORY_IS_THERE, "comms": frozenset({"asked", "other"})},
    )


SUBJECTS: Mapping[str, Subject] = MappingProxyType(
    {
        found.name: found
        for found in (
            *(_path(name, "fd_name", "name") for name in ("open", "openat", "openat2", "creat")),
            _execve(),
            _path("unlink", "name"),
            _path("unlinkat", "name"),
            _path("rename", "oldpath"),
            _path("renameat2", "oldpath"),
            _path("link", "oldpath"),
            _path("linkat", "oldpath"),
            _path("symlink", "linkpath"),
            _path("symlinkat", "linkpath"),
            _path("symlinkat-target", "target", call="symlinkat"),
            _path("chmod", "name"),
            _path("fchmodat", "name"),
            _path("mount", "target"),
            _path("mount-source", "source", call="mount"),
            _address("connect"),
            _address("bind"),
            _address("sendto"),
        )
    }
)
