"""tap's adapter and generator, and lines that its reader printed (6.12 amd64, the modern probe)."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType
from typing import Any

from lab.drivers.manifest import DRIVERS, Adapter, find_driver

FOLDER = DRIVERS / "tap"

_TASK = {
    "pid": 237, "tid": 237, "uid": 0, "euid": 0, "gid": 0, "egid": 0, "caps": 2199023255551, "cgroup": 1, "status": 0,
    "parent": "sh",
    "namespaces": {
        "mnt": 4026531841, "pid": 4026531836, "net": 4026531840, "uts": 4026531838, "ipc": 4026531839,
        "cgroup": 4026531835, "user": 4026531837,
    },
}  # fmt: skip
_WHO = {"cpu": 1, "tid": 237, "pid": 237, "ppid": 236, "uid": 0, "gid": 0, "comm": "echo", "abi": "x86_64"}
OPENAT = {
    "type": "openat", "ts": 1795511476393655583, "entered": 1795511476393606760, **_WHO, "nr": 257, "result": -2,
    "params": {"dirfd": -100, "name": "/etc/ld.so.cache", "flags": 524288, "mode": 0},
    "exit": {"name": "/etc/ld.so.cache"}, "kernel": {"name": "/etc/ld.so.cache"},
}  # fmt: skip
EXECVE = {
    "type": "execve", "ts": 1795511476425189679, "entered": 1795511476418633361, **_WHO, "nr": 59, "result": 0,
    "params": {"filename": "/bin/echo", "argv": ["/bin/echo", "one", "two"], "envp": 94328767256856},
    "kernel": {"filename": "/bin/echo"}, "task": _TASK, "args": ["/bin/echo", "one", "two"],
}  # fmt: skip
PROCEXEC = {
    "type": "procexec", "ts": 1795511476425076071, **_WHO, "task": _TASK, "file": "/bin/echo",
    "args": ["/bin/echo", "one", "two"],
}  # fmt: skip
PROCEXIT = {"type": "procexit", "ts": 1795511476430436789, **_WHO, "task": {**_TASK, "status": 1792}}
CONNECT = {
    "type": "connect", "ts": 1, "entered": 1, **_WHO, "nr": 42, "result": 0,
    "params": {"fd": 3, "addr": {"family": 2, "address": "127.0.0.1", "port": 4711}, "addrlen": 16},
    "exit": {"addr": {"family": 2, "address": "127.0.0.2", "port": 80}},
    "kernel": {"addr": {"family": 2, "address": "127.0.0.1", "port": 4711}},
}  # fmt: skip


def line(fields: dict[str, Any], **changes: Any) -> bytes:
    """A line of the reader's, with some of its fields otherwise."""
    return json.dumps({**fields, **changes}).encode()


def adapter() -> Adapter:
    """A fresh adapter, as the lab loads it."""
    return find_driver("tap:kmod").adapter()


def generator() -> ModuleType:
    """generate.py, as a module."""
    spec = importlib.util.spec_from_file_location("lab_tap_generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
