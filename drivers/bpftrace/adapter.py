"""Reads what bpftrace prints with `-f json` of the script in driver.toml: a line of fields for each event."""

from __future__ import annotations

import json
from typing import Any

from lab.drivers.event import Counters, Event, Value

_BETWEEN = "\x1f"
# asm-generic's numbers; what differs on some architectures is not among them.
_ACCESS = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
_FLAGS = {0o100: "O_CREAT", 0o200: "O_EXCL", 0o1000: "O_TRUNC", 0o2000: "O_APPEND", 0o2000000: "O_CLOEXEC"}
_AF_INET = 2


class BpftraceAdapter:
    """Maps the script's fields to the lab's events, and counts them: bpftrace tells only what it lost."""

    def __init__(self) -> None:
        self._events = 0
        self._lost = 0

    def event(self, line: bytes) -> Event | None:
        """The event in one line; None for what bpftrace says of itself."""
        said: Any = json.loads(line.decode("utf-8", "surrogateescape"))
        if said["type"] == "lost_events":
            self._lost += _lost(said)
        if said["type"] != "printf":
            return None
        kind, ts, cpu, tid, pid, ppid, result, comm, parent, *more = str(said["data"]).split(_BETWEEN)
        self._events += 1
        return Event(
            type=kind,
            ts=int(ts),
            cpu=int(cpu),
            tid=int(tid),
            pid=int(pid),
            ppid=int(ppid),
            comm=_bytes(comm),
            exe=b"",
            result=None if kind == "procexit" else int(result),
            params={**_params(kind, more), "parent": _bytes(parent)},
        )

    def counters(self, said: bytes) -> Counters | None:
        """What came until now, and what bpftrace said that it lost; the script's own end says nothing more."""
        del said
        return Counters(self._events + self._lost, self._lost)


def _params(kind: str, fields: list[str]) -> dict[str, Value]:
    params: dict[str, Value] = {}
    match kind:
        case "openat":
            params = {"name": _bytes(fields[0]), "flags": _flags(int(fields[1]))}
        case "unlinkat":
            params = {"name": _bytes(fields[0])}
        case "renameat2":
            params = {"oldpath": _bytes(fields[0]), "newpath": _bytes(fields[1])}
        case "execve":
            words = bytes.fromhex(fields[1].replace(r"\x", "").replace(" ", "")).removesuffix(b"\0").split(b"\0")
            params = {"filename": _bytes(fields[0]), "args": tuple(words[1:])}
        case "connect" if int(fields[0]) == _AF_INET:
            params = {"address": fields[1], "port": int(fields[2])}
        case "procexit":
            params = {"status": int(fields[0])}
    return params


def _lost(said: Any) -> int:
    counted = said.get("count", said.get("data"))
    return int(counted["events"] if isinstance(counted, dict) else counted)


def _flags(bits: int) -> frozenset[str]:
    return frozenset({_ACCESS[bits & 3], *(name for bit, name in _FLAGS.items() if bits & bit)})


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
