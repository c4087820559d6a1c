"""Reads `sysdig -j` as this driver's manifest calls it.

Enter events are merged by sysdig into the exit's fields: `evt.arg.*` is what the exit event says, and the fields of
process and file (`fd_name`, of what was opened) are libsinsp's own conclusions, which Falco's rules go by. That of 2022
prints them as events of their own; what only they say (execve's filename) is added to the exit here.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from lab.drivers.event import Counters, Event, Value

# Plain strings of the guest among the parameters.
_STRINGS = (
    "name", "path", "oldpath", "newpath", "filename", "exe", "dirfd", "tuple", "addr", "mode", "target", "linkpath",
    "dev", "dir",
)  # fmt: skip
# What scenarios call some of them, by call.
_CHMOD, _MOUNT = {"filename": "name"}, {"dev": "source", "dir": "target"}
_PATH = {"path": "name"}
_RENAMED = {
    "chmod": _CHMOD, "fchmodat": _CHMOD, "fchmodat2": _CHMOD, "mount": _MOUNT, "unlink": _PATH, "chroot": _PATH,
    "open_by_handle_at": _PATH,
}  # fmt: skip
_OPENS = frozenset({"open", "openat", "openat2", "creat"})
_NUMBERS = ("status", "ret")
# Numbers that sysdig shows as names (of a process, of a user) where it knows one: so as they are.
_NUMBERED = {"pid": "target", "uid": "euid"}
# Of these calls a program begins: what libsinsp knows of it is told by their events.
_EXECS = frozenset({"execve", "execveat"})
_DOMAINS = {"AF_LOCAL|AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17}
_EVENTS = re.compile(rb"^Driver Events:(\d{1,20})$", re.MULTILINE)
_DROPS = re.compile(rb"^Driver Drops:(\d{1,20})$", re.MULTILINE)
# Events that have no exit.
_ALONE = frozenset({"procexit"})
# Calls whose exit is not read yet: one a thread, but threads may end in them.
_MOST_OPEN = 4096


class SysdigAdapter:
    """Maps sysdig's fields to the lab's events."""

    def __init__(self) -> None:
        self._entered: dict[tuple[int, str], dict[str, Value]] = {}

    def event(self, line: bytes) -> Event | None:
        """The event in one line; None for enters, and for the few that say nothing of a call (drop markers, container
        events)."""
        # sysdig prints a guest's strings as their bytes are: what is no UTF-8 goes through to `_bytes` and back.
        fields: Any = json.loads(line.decode("utf-8", "surrogateescape"))
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        if fields.get("thread.tid") is None:
            return None
        kind, tid, params = fields["evt.type"], int(fields["thread.tid"]), _params(fields)
        if fields.get("evt.dir") == ">" and kind not in _ALONE:
            if len(self._entered) >= _MOST_OPEN:
                del self._entered[next(iter(self._entered))]
            self._entered[tid, kind] = params
            return None
        # By its kind: a thread is switched away from, which is an enter too, within a call.
        entered = self._entered.pop((tid, kind), {})
        return Event(
            type=kind,
            ts=int(fields["evt.rawtime"]),
            cpu=int(fields["evt.cpu"]),
            tid=tid,
            pid=_number(fields.get("proc.pid")),
            ppid=_number(fields.get("proc.ppid")),
            comm=_bytes(fields.get("proc.name")) or b"",
            exe=_bytes(fields.get("proc.exepath")) or b"",
            result=fields.get("evt.rawres"),
            params={**entered, **params},
        )

    def counters(self, said: bytes) -> Counters | None:
        """What `sysdig -v` prints when it is interrupted."""
        events, drops = _EVENTS.search(said), _DROPS.search(said)
        if events is None or drops is None:
            return None
        return Counters(int(events.group(1)), int(drops.group(1)))


def _params(fields: dict[str, Any]) -> dict[str, Value]:
    params: dict[str, Value] = {}
    for name in _STRINGS:
        value = fields.get(f"evt.arg.{name}")
        if value is not None:
            params[name] = _bytes(value)
    for name in _NUMBERS:
        value = fields.get(f"evt.arg.{name}")
        if value is not None and str(value).lstrip("-").isdigit():
            params[name] = int(value)
    if (flags := fields.get("evt.arg.flags")) is not None:
        params["flags"] = frozenset(str(flags).split("|"))
    if (arguments := fields.get("evt.arg.args")) is not None:
        params["args"] = _arguments(str(arguments))
    if fields.get("fd.sip") is not None:
        params["address"], params["port"] = str(fields["fd.sip"]), int(fields["fd.sport"])
    if (fd := fields.get("fd.num")) is not None:
        params["fd"] = int(fd)
    if (parent := fields.get("proc.pname")) is not None:
        params["parent"] = _bytes(parent)
    if fields.get("evt.type") in _OPENS and (opened := fields.get("fd.name")) is not None:
        params["fd_name"] = _bytes(opened)
    _put_process(params, fields)
    renamed = _RENAMED.get(str(fields.get("evt.type")), {})
    return {renamed.get(name, name): value for name, value in params.items()}


def _put_process(params: dict[str, Value], fields: dict[str, Any]) -> None:
    """What an event says of processes: whom it is done to, and of one that begins, who and where it is."""
    for name, known in _NUMBERED.items():
        if (value := fields.get(f"evt.rawarg.{name}")) is not None:
            params[known] = int(value)
    if (request := fields.get("evt.arg.request")) is not None:
        params["request"] = str(request)
    if (domain := fields.get("evt.arg.domain")) is not None:
        params["domain"] = _DOMAINS.get(str(domain), str(domain))
    if (cgroups := fields.get("evt.arg.cgroups")) is not None:
        params["cgroup"] = _cgroup(str(cgroups))
    if (number := fields.get("proc.vpid")) is not None:
        params["vpid"] = int(number)
    if fields.get("evt.type") in _EXECS:
        params["from_memfd"] = int(fields.get("proc.is_exe_from_memfd") is True)


def _cgroup(encoded: str) -> bytes:
    """The process's cgroup, from base64 of words that end in NUL: "cpuset=/", "cpu=/lab/web". Of cgroup v2 it is
    the path of the controllers that are on there; of the others, of one above it."""
    words = base64.b64decode(encoded, validate=True).split(b"\0")
    paths = [path for _, found, path in (word.partition(b"=") for word in words) if found]
    return max(paths, key=len, default=b"")


def _arguments(encoded: str) -> tuple[bytes, ...]:
    """argv without its first word: base64 of strings that each end in NUL."""
    # What sysdig calls none: as base64 it would be no words either, which end in NUL.
    data = b"" if encoded == "NULL" else base64.b64decode(encoded, validate=True)
    return tuple(data.removesuffix(b"\0").split(b"\0")) if data else ()


def _bytes(value: object) -> bytes | None:
    return None if value is None else str(value).encode("utf-8", "surrogateescape")


def _number(value: object) -> int:
    return int(value) if isinstance(value, int) else -1
