"""Reads what tap's reader prints, the same for all three modes.

A call's parameters are named as in events.toml. What lies in memory is read up to three times: NAME_entry at entry,
NAME_exit at exit, kernel_NAME as the kernel copied it and acted on it. NAME is the last of these where it is known,
else what was read at entry.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.drivers.event import Counters, Event, Value

_TABLES = Path(__file__).with_name("tables.py")
_CALLS_WITH_ARGUMENTS = ("execve", "execveat")
_MOST_PROGRAMS = 65536
# uapi/linux/openat2.h: struct open_how
_OPEN_HOW = struct.Struct("=QQQ")
_RESOLVE = {
    "RESOLVE_NO_XDEV": 1, "RESOLVE_NO_MAGICLINKS": 2, "RESOLVE_NO_SYMLINKS": 4, "RESOLVE_BENEATH": 8,
    "RESOLVE_IN_ROOT": 16, "RESOLVE_CACHED": 32,
}  # fmt: skip


class TapAdapter:
    """Maps the reader's lines to the lab's events."""

    def __init__(self) -> None:
        self._sets, self._names = _tables()
        self._programs: dict[int, bytes] = {}  # by pid, as far as their exec was seen

    def event(self, line: bytes) -> Event | None:
        """The event in one line."""
        fields: Any = json.loads(line)
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        kind, pid = str(fields["type"]), int(fields["pid"])
        params = self._params(kind, fields)
        self._note_program(kind, fields, pid)
        return Event(
            type=kind,
            ts=int(fields["ts"]),
            cpu=int(fields["cpu"]),
            tid=int(fields["tid"]),
            pid=pid,
            ppid=int(fields["ppid"]),
            comm=_bytes(fields["comm"]) or b"",
            exe=self._programs.get(pid, b""),
            result=int(fields["result"]) if "result" in fields else None,
            params=params,
        )

    def counters(self, said: bytes) -> Counters | None:
        """The last line of counters on standard error. What a probe could not even run for was dropped too."""
        lines = [line for line in said.splitlines() if line.startswith(b'{"offered"')]
        if not lines:
            return None
        values = json.loads(lines[-1])
        missed = int(values["missed"])
        return Counters(int(values["offered"]) + missed, int(values["dropped"]) + missed)

    def _params(self, kind: str, fields: Mapping[str, Any]) -> dict[str, Value]:
        params: dict[str, Value] = {}
        for form, part in (("{}", "params"), ("{}_exit", "exit"), ("kernel_{}", "kernel")):
            for name, value in fields.get(part, {}).items():
                self._put(params, form, name, value, kind, str(fields.get("abi", "")))
        for name in [name for name, value in params.items() if value is None]:
            # It was not in memory at entry: the kernel brought it there, and acted on what it found.
            params[name] = params.get(f"kernel_{name}") or params.get(f"{name}_exit")
        for name in [name for name in ("address", "port", "path") if f"{name}_exit" in params and name not in params]:
            # An address that the kernel writes, which there is only at the exit.
            params[name] = params[f"{name}_exit"]
        _prefer_the_kernels(params)
        self._put_structures(params, str(fields.get("abi", "")))
        for state in ("not_resident", "cut"):
            if state in fields:
                params[state] = frozenset(str(name) for name in fields[state])
        for name in ("abi", "entered", "no_entry", "no_room"):
            if name in fields:
                params[name] = fields[name]
        if "uid" in fields:
            params["caller_uid"] = int(fields["uid"])
        _put_task(params, fields)
        _put_arguments(params, kind, fields)
        return params

    def _put(self, params: dict[str, Value], form: str, name: str, value: Any, kind: str, abi: str) -> None:
        """One parameter as the reader has it; an address is taken apart."""
        if isinstance(value, dict) and "family" in value:
            for part in ("family", "address", "port", "path"):
                if part in value:
                    known = form.format(part)
                    params[known] = _bytes(value[part]) if part == "path" else value[part]
        elif isinstance(value, list):
            params[form.format(name)] = tuple(_bytes(item) or b"" for item in value)
        elif isinstance(value, int):
            flags = self._sets.get(kind, {}).get(name)
            params[form.format(name)] = self._flags(flags, value, abi) if flags else value
        else:
            params[form.format(name)] = _bytes(value)

    def _put_structures(self, params: dict[str, Value], abi: str) -> None:
        """The flags in structures whose layout is the kernel's promise."""
        how, cloned = params.get("how"), params.get("cl_args")
        if isinstance(how, bytes) and len(how) >= _OPEN_HOW.size:
            flags, mode, resolve = _OPEN_HOW.unpack_from(how)
            params["flags"], params["mode"] = self._flags("open", flags, abi), mode
            params["resolve"] = frozenset(name for name, bit in _RESOLVE.items() if resolve & bit)
        if isinstance(cloned, bytes) and len(cloned) >= 8:
            params["flags"] = self._flags("clone", int.from_bytes(cloned[:8], "little"), abi)

    def _flags(self, name: str, value: int, abi: str) -> frozenset[str]:
        table = self._names[name]
        bits = {**table["bits"], **table["other"].get(abi, {})}
        mask, zero = table["zero"]
        found = {word for word, bit in bits.items() if value & bit == bit}
        if zero and not value & mask:
            found.add(zero)
        rest = value
        for bit in bits.values():
            rest &= ~bit
        return frozenset(found | ({hex(rest)} if rest else set()))

    def _note_program(self, kind: str, fields: Mapping[str, Any], pid: int) -> None:
        if kind == "procexec" and len(self._programs) < _MOST_PROGRAMS:
            self._programs[pid] = _bytes(fields.get("file")) or b""
        elif kind == "procfork" and pid in self._programs and len(self._programs) < _MOST_PROGRAMS:
            self._programs[int(fields["task"]["pid"])] = self._programs[pid]


def _prefer_the_kernels(params: dict[str, Value]) -> None:
    """What the kernel acted on is what the event is about; what was read at entry is NAME_entry then."""
    # One that could not be read is of a name that the kernel did not take: an error, in place of a copy.
    for known in [name for name, value in params.items() if name.startswith("kernel_") and value is not None]:
        name = known.removeprefix("kernel_")
        params[f"{name}_entry"] = params.get(name)
        params[name] = params[known]


def _put_task(params: dict[str, Value], fields: Mapping[str, Any]) -> None:
    """What an event says of a process: its credentials, cgroup and namespaces."""
    task = fields.get("task")
    if not task:
        return
    names = {"pid": "task_pid", "tid": "task_tid"}
    for name, value in task.items():
        if name == "namespaces":
            params.update({f"ns_{kind}": int(inode) for kind, inode in value.items()})
        elif name == "parent":
            params["parent"] = _bytes(value)
        else:
            params[names.get(name, name)] = int(value)


def _put_arguments(params: dict[str, Value], kind: str, fields: Mapping[str, Any]) -> None:
    """argv without its first word: as the new program has it, else as the call was given it."""
    if "file" in fields:
        params["filename"] = _bytes(fields["file"])
    words = fields.get("args")
    if words is None and kind in _CALLS_WITH_ARGUMENTS:
        words = fields.get("params", {}).get("argv") or fields.get("exit", {}).get("argv")
    if words is not None:
        params["args"] = tuple(_bytes(word) or b"" for word in words[1:])


def _bytes(value: object) -> bytes | None:
    """A guest's string: as text, or in base64 where it is no UTF-8."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return None if value is None else str(value).encode()


def _tables() -> tuple[dict[str, dict[str, str]], dict[str, dict[str, Any]]]:
    spec = importlib.util.spec_from_file_location("lab_tap_tables", _TABLES)
    assert spec is not None  # noqa: S101 - the file lies beside this one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FLAG_ARGUMENTS, module.FLAG_NAMES
