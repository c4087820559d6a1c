"""Reads auditd's log in its ENRICHED form.

One event is several records with one serial number: SYSCALL first, PROCTITLE last (the kernel's audit_log_exit), and
other CPUs' between them. Strings with spaces, quotes or bytes that are not ASCII are in hexadecimal, without quotes.
"""

from __future__ import annotations

import ipaddress
import re
import struct

from lab.drivers.event import Counters, Event, Value

_RECORD = re.compile(rb"type=(\w+) msg=audit\((\d{1,12})\.(\d{3}):(\d{1,20})\): ?(.*)", re.DOTALL)
_FIELD = re.compile(rb'([A-Za-z0-9_\[\]-]+)=("[^"]*"|[^ \x1d]*)')
_LOST = re.compile(rb"^lost (\d{1,20})$", re.MULTILINE)
# What programs print that write to the same pipe is no record; of a hostile one, nothing may pile up.
_MOST_RECORDS = 512
_MOST_OPEN = 1024
_MOST_PROCESSES = 100_000
_FORKS = frozenset({"fork", "vfork", "clone", "clone3"})
# include/uapi/asm-generic/fcntl.h; what differs on amd64 and arm64 is not among them.
_ACCESS = ("O_RDONLY", "O_WRONLY", "O_RDWR")
_FLAGS = {0o100: "O_CREAT", 0o200: "O_EXCL", 0o1000: "O_TRUNC", 0o2000: "O_APPEND", 0o2000000: "O_CLOEXEC"}
_FLAGS_AT = {"open": b"a1", "openat": b"a2"}
# Numbers in a call's registers, of which a record has the first four.
_NUMBERS = {
    "openat": {"dirfd": b"a0"},
    "openat2": {"dirfd": b"a0"},
    "execveat": {"dirfd": b"a0"},
    "unlinkat": {"dirfd": b"a0"},
    "renameat": {"olddirfd": b"a0", "newdirfd": b"a2"},
    "renameat2": {"olddirfd": b"a0", "newdirfd": b"a2"},
    "connect": {"fd": b"a0"},
    "exit_group": {"code": b"a0"},
}
_MODES = {"creat": b"a1"}
# uapi/linux/fcntl.h, uapi/linux/sched.h
_NAMED = {
    "unlinkat": (b"a2", {0x200: "AT_REMOVEDIR"}),
    "clone": (b"a0", {0x200: "CLONE_FS", 0x400: "CLONE_FILES", 0x10000: "CLONE_THREAD"}),
}
# uapi/linux/openat2.h
_RESOLVE = {
    0x01: "RESOLVE_NO_XDEV",
    0x02: "RESOLVE_NO_MAGICLINKS",
    0x04: "RESOLVE_NO_SYMLINKS",
    0x08: "RESOLVE_BENEATH",
    0x10: "RESOLVE_IN_ROOT",
    0x20: "RESOLVE_CACHED",
}

Fields = dict[bytes, bytes]
Records = list[tuple[bytes, Fields]]


class AuditAdapter:
    """Gathers an event's records; the last of them gives the event."""

    def __init__(self) -> None:
        self._open: dict[bytes, Records] = {}
        self._comms: dict[int, bytes] = {}
        self._events = 0

    def event(self, line: bytes) -> Event | None:
        """The event whose last record the line is; None for others, and for events that are no system calls."""
        match = _RECORD.match(line)
        if match is None:
            raise ValueError("it is no audit record")
        kind, seconds, millis, serial, text = match.groups()
        records = self._open.setdefault(serial, [])
        if len(self._open) > _MOST_OPEN:  # events that were no calls have no last record
            del self._open[next(iter(self._open))]
        if len(records) < _MOST_RECORDS:
            records.append((kind, dict(_FIELD.findall(text))))
        if kind != b"PROCTITLE":
            return None
        self._open.pop(serial, None)
        if records[0][0] != b"SYSCALL":
            return None
        self._events += 1
        return self._made((int(seconds) * 1000 + int(millis)) * 1_000_000, records)

    def counters(self, said: bytes) -> Counters | None:
        """What `auditctl -s` printed last."""
        lost = _LOST.findall(said)
        return Counters(self._events, int(lost[-1])) if lost else None

    def _made(self, ts: int, records: Records) -> Event:
        call = records[0][1]
        kind = call[b"SYSCALL"].decode()
        pid, ppid = int(call[b"pid"]), int(call[b"ppid"])
        comm = _string(call[b"comm"]) or b""
        if len(self._comms) < _MOST_PROCESSES:
            self._comms[pid] = comm
        # audit tells processes by what their main thread is called by: it has no thread's own number.
        result = int(call[b"exit"]) if b"exit" in call else None
        params = _params(kind, records)
        params["parent"] = self._comms.get(ppid)
        if kind in _FORKS and result and result > 0 and len(self._comms) < _MOST_PROCESSES:
            self._comms[result] = comm
        return Event(kind, ts, -1, pid, pid, ppid, comm, _string(call.get(b"exe", b"")) or b"", result, params)


def _params(kind: str, records: Records) -> dict[str, Value]:
    named = [(_string(path.get(b"name", b"")), path.get(b"nametype", b"")) for path in _of(records, b"PATH")]
    objects = [name for name, what in named if what != b"PARENT"]
    params: dict[str, Value] = {}
    match kind:
        case "open" | "openat" | "openat2" | "creat" | "unlink" | "unlinkat":
            params["name"] = objects[-1] if objects else None
            params |= _how(_of(records, b"OPENAT2"))
        case "rename" | "renameat" | "renameat2":
            params["oldpath"] = next((name for name, what in named if what == b"DELETE"), None)
            params["newpath"] = next((name for name, what in named if what == b"CREATE"), None)
        case "execve" | "execveat":
            params["filename"] = objects[0] if objects else None
            params["args"] = _arguments(records)
        case "connect":
            params |= _address(_of(records, b"SOCKADDR"))
    return {**params, **_registers(kind, records[0][1])}


def _registers(kind: str, call: Fields) -> dict[str, Value]:
    """What the registers say: numbers have 32 bits."""
    params: dict[str, Value] = {}
    for name, register in _NUMBERS.get(kind, {}).items():
        value = int(call[register], 16) & 0xFFFFFFFF
        params[name] = value - (1 << 32) if value >> 31 else value
    if kind in _MODES:
        params["mode"] = int(call[_MODES[kind]], 16)
    if kind in _FLAGS_AT:
        params["flags"] = _flags(int(call[_FLAGS_AT[kind]], 16))
    if kind in _NAMED:
        register, names = _NAMED[kind]
        params["flags"] = frozenset(name for bit, name in names.items() if int(call[register], 16) & bit)
    if b"uid" in call:
        params["caller_uid"] = int(call[b"uid"])
    return params


def _how(records: list[Fields]) -> dict[str, Value]:
    """What openat2 was asked for, which is in memory: it has a record of its own (5.16)."""
    if not records:
        return {}
    flags, resolve = int(records[0][b"oflag"], 8), int(records[0][b"resolve"], 16)
    return {"flags": _flags(flags), "resolve": frozenset(name for bit, name in _RESOLVE.items() if resolve & bit)}


def _of(records: Records, kind: bytes) -> list[Fields]:
    return [fields for name, fields in records if name == kind]


def _arguments(records: Records) -> tuple[bytes, ...]:
    """argv without its first word; the kernel cuts long ones into a1[0], a1[1], ..."""
    found: dict[int, bytes] = {}
    for fields in _of(records, b"EXECVE"):
        for name, value in fields.items():
            match = re.fullmatch(rb"a(\d{1,6})(?:\[\d{1,6}\])?", name)
            if match:
                found[int(match[1])] = found.get(int(match[1]), b"") + (_string(value) or b"")
    return tuple(found[number] for number in sorted(found) if number)


def _string(value: bytes) -> bytes | None:
    if value.startswith(b'"'):
        return value.strip(b'"')
    return None if value in (b"", b"(null)", b"?") else bytes.fromhex(value.decode())


def _flags(bits: int) -> frozenset[str]:
    return frozenset({_ACCESS[bits & 3] if bits & 3 < 3 else "O_ACCMODE"}) | {
        name for bit, name in _FLAGS.items() if bits & bit
    }


def _address(records: list[Fields]) -> dict[str, Value]:
    data = bytes.fromhex(records[0][b"saddr"].decode()) if records else b""
    family = int.from_bytes(data[:2], "little")
    if family == 1:
        path = data[2:]
        # One that begins with NUL is abstract, and all of it counts.
        return {"path": path if path[:1] == b"\0" else path.partition(b"\0")[0]}
    if family == 2 and len(data) >= 8:
        return {"address": str(ipaddress.IPv4Address(data[4:8])), "port": struct.unpack(">H", data[2:4])[0]}
    if family == 10 and len(data) >= 24:
        return {"address": str(ipaddress.IPv6Address(data[8:24])), "port": struct.unpack(">H", data[2:4])[0]}
    return {}
