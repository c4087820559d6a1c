"""Reads `sysdig -j` as this driver's manifest calls it.

Enter events are merged by sysdig into the exit's fields: `evt.arg.*` is what the exit event says, and the fields of
process and file (`fd_name`, of what was opened) are libsinsp's own conclusions, which Falco's rules go by. That of 2022
prints them as events of their own; what only they say (execve's filename) is added to the exit here.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import signal
import stat
from typing import Any

from lab.drivers.event import Counters, Event, Value

# Plain strings of the guest among the parameters.
_STRINGS = (
    "name", "path", "oldpath", "newpath", "filename", "exe", "tuple", "addr", "target", "linkpath", "dev", "dir",
    "fstype", "uargs",
)  # fmt: skip
# What sysdig says where there is no string: of a null pointer, say.
_NONE = "<NA>"
# What it says where there are no bytes, even of those that it writes in base64: the three that are written so are lost.
_NULL = "NULL"
_NUMBERS = ("status", "ret")
# Numbers as the driver has them, without what sysdig makes of them: the path of a descriptor, the name of a user.
_RAW = (
    "fd", "dirfd", "olddirfd", "newdirfd", "uid", "gid", "ruid", "euid", "suid", "rgid", "egid", "sgid", "size",
    "cmd", "domain", "opcode", "entries", "to_submit", "min_complete", "nr_args",
)  # fmt: skip
_RAW_RENAMED = {
    "olddir": "olddirfd", "newdir": "newdirfd", "linkdirfd": "newdirfd", "mountfd": "mountdirfd", "pid": "target",
    "proto": "protocol", "length": "size",
}  # fmt: skip
# What scenarios call some of them, by call.
_CHMOD, _MOUNT = {"filename": "name"}, {"dev": "source", "dir": "target"}
_PATH = {"path": "name"}
_RENAMED = {
    "chmod": _CHMOD, "fchmodat": _CHMOD, "fchmodat2": _CHMOD, "mount": _MOUNT, "umount2": {"name": "target"},
    "unlink": _PATH, "chroot": _PATH, "open_by_handle_at": _PATH,
}  # fmt: skip
_OPENS = frozenset({"open", "openat", "openat2", "creat"})
_ACCEPTS = frozenset({"accept", "accept4"})
_SENDS = frozenset({"sendto"})
_TARGETED = frozenset({"kill", "ptrace", "process_vm_writev", "process_vm_readv"})
_MODES = frozenset(
    name for name in dir(stat) if name.startswith(("S_IX", "S_IW", "S_IR", "S_ISVTX", "S_ISGID", "S_ISUID"))
)
_WITH_MODE = frozenset({
    "open", "openat", "openat2", "creat", "mkdir", "mkdirat", "mknod", "mknodat", "chmod", "fchmod", "fchmodat",
    "fchmodat2",
})  # fmt: skip
# Whose mode sysdig prints so.
_HEXADECIMAL = frozenset({"mkdir", "mkdirat"})
_AT_FDCWD = -100
_REQUESTS = {"PTRACE_TRACEME": 0, "PTRACE_PEEKTEXT": 1, "PTRACE_PEEKDATA": 2, "PTRACE_PEEKUSR": 3, "PTRACE_POKETEXT": 4,
    "PTRACE_POKEDATA": 5, "PTRACE_POKEUSR": 6, "PTRACE_CONT": 7, "PTRACE_KILL": 8, "PTRACE_SINGLESTEP": 9,
    "PTRACE_ATTACH": 16, "PTRACE_DETACH": 17}  # fmt: skip
# Of these calls a program begins: what libsinsp knows of it is told by their events.
_EXECS = frozenset({"execve", "execveat"})
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
    kind = str(fields.get("evt.type"))
    params: dict[str, Value] = {}
    for name in _STRINGS:
        value = fields.get(f"evt.arg.{name}")
        if value is not None:
            params[name] = None if value == _NONE else _bytes(value)
    for name in _NUMBERS:
        value = fields.get(f"evt.arg.{name}")
        if value is not None and str(value).lstrip("-").isdigit():
            params[name] = int(value)
    _put_flags(params, kind, fields)
    if (arguments := fields.get("evt.arg.args")) not in (None, _NONE):
        params["args"] = _arguments(str(arguments))
    if (environment := fields.get("evt.arg.env")) not in (None, _NONE):
        params["env"] = _arguments(str(environment))
    if kind in _SENDS and (data := fields.get("evt.arg.data")) not in (None, _NONE, _NULL):
        params["data"] = base64.b64decode(str(data), validate=True)
    params.update(_address(kind, fields))
    # Of an accept that is the new one, and the listener is nowhere.
    if kind not in _ACCEPTS and (fd := fields.get("fd.num")) is not None:
        params["fd"] = int(fd)
    if (parent := fields.get("proc.pname")) is not None:
        params["parent"] = _bytes(parent)
    if (user := fields.get("user.uid")) is not None:
        params["caller_uid"] = int(user)
    if kind in _OPENS and (opened := fields.get("fd.name")) is not None:
        params["fd_name"] = _bytes(opened)
    _put_raw(params, kind, fields)
    _put_process(params, kind, fields)
    renamed = _RENAMED.get(kind, {})
    return {renamed.get(name, name): value for name, value in params.items()}


def _put_raw(params: dict[str, Value], kind: str, fields: dict[str, Any]) -> None:
    """Numbers. Of most events `pid` is the process itself."""
    for name in (*_RAW, *_RAW_RENAMED):
        value = fields.get(f"evt.rawarg.{name}")
        if value is not None and (name != "pid" or kind in _TARGETED) and (name != "fd" or kind not in _ACCEPTS):
            params[_RAW_RENAMED.get(name, name)] = int(value)
    # All that 2022's sysdig tells of it: of a number it stops.
    if fields.get("evt.arg.dirfd") == "AT_FDCWD":
        params.setdefault("dirfd", _AT_FDCWD)
    # Other calls have a mode that is none of a file's, and a decimal number.
    if kind in _WITH_MODE and (mode := fields.get("evt.arg.mode")) is not None:
        params["mode"] = int(str(mode), 16) if kind in _HEXADECIMAL else _mode(str(mode))
    if (sent := fields.get("evt.arg.sig")) is not None and kind in _TARGETED:
        params["sig"] = int(sent) if str(sent).isdigit() else int(signal.Signals[str(sent)])


def _mode(said: str) -> int:
    """A mode, which is in octal or in names, by the call."""
    if said.isdigit():
        return int(said, 8)
    return sum(getattr(stat, name) for name in said.split("|") if name in _MODES)


def _put_flags(params: dict[str, Value], kind: str, fields: dict[str, Any]) -> None:
    """Names of flags as the kernel's headers have them."""
    before = "MS_" if kind == "mount" else ""
    for name in ("flags", "nstype", "resolve"):
        value = fields.get(f"evt.arg.{name}")
        if value is not None:
            params[name] = frozenset(before + word for word in str(value).split("|"))
    if kind == "mount" and (fstype := fields.get("evt.arg.type")) is not None:
        params["fstype"] = None if fstype == _NONE else _bytes(fstype)
    if kind == "socket" and str(number := fields.get("evt.arg.type")).isdigit():
        params["socktype"] = int(str(number))
    if (request := fields.get("evt.arg.request")) in _REQUESTS:
        params["request"] = _REQUESTS[str(request)]


def _address(kind: str, fields: dict[str, Any]) -> dict[str, Value]:
    """The peer's address: of what accepted a connection, the client's. What libsinsp concluded, or else what the driver
    read."""
    side = "c" if kind in _ACCEPTS else "s"
    if fields.get(f"fd.{side}ip") is not None:
        return {"address": str(fields[f"fd.{side}ip"]), "port": int(fields[f"fd.{side}port"])}
    given = fields.get("evt.arg.addr")
    if given in (None, _NONE, ""):
        return {}
    host, _, port = str(given).rpartition(":")
    try:
        return {"address": str(ipaddress.ip_address(host)), "port": int(port)}
    except ValueError:
        return {"path": _bytes(given)}


def _put_process(params: dict[str, Value], kind: str, fields: dict[str, Any]) -> None:
    """Where a process is, and of one that begins who it is."""
    if (cgroups := fields.get("evt.arg.cgroups")) is not None:
        params["cgroup"] = _cgroup(str(cgroups))
    if (number := fields.get("proc.vpid")) is not None:
        params["vpid"] = int(number)
    if kind in _EXECS:
        params["from_memfd"] = int(fields.get("proc.is_exe_from_memfd") is True)
        if (user := fields.get("evt.rawarg.uid")) is not None:
            params["euid"] = int(user)


def _cgroup(encoded: str) -> bytes:
    """The process's cgroup, from base64 of words that end in NUL: "cpuset=/", "cpu=/lab/web". Of cgroup v2 it is
    the path of the controllers that are on there; of the others, of one above it."""
    words = base64.b64decode(encoded, validate=True).split(b"\0")
    paths = [path for _, found, path in (word.partition(b"=") for word in words) if found]
    return max(paths, key=len, default=b"")


def _arguments(encoded: str) -> tuple[bytes, ...]:
    """argv without its first word: base64 of strings that each end in NUL."""
    # As base64 it would be no words either, which end in NUL.
    data = b"" if encoded == _NULL else base64.b64decode(encoded, validate=True)
    return tuple(data.removesuffix(b"\0").split(b"\0")) if data else ()


def _bytes(value: object) -> bytes | None:
    return None if value is None else str(value).encode("utf-8", "surrogateescape")


def _number(value: object) -> int:
    return int(value) if isinstance(value, int) else -1
