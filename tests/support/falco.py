"""Lines as `sysdig -j` prints them with the format of drivers/falco/driver.toml, and the adapter that reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

from lab.drivers.manifest import Adapter, find_driver

OPENAT: dict[str, Any] = {
    "evt.rawtime": 1795365536217483627,
    "evt.cpu": 0,
    "evt.dir": "<",
    "evt.type": "openat",
    "evt.rawres": 6,
    "thread.tid": 190,
    "proc.pid": 190,
    "proc.ppid": 178,
    "proc.name": "dropbear",
    "proc.pname": "dropbear",
    "proc.exepath": "/usr/sbin/dropbear",
    "fd.name": "/proc/loadavg",
    "fd.num": 6,
    "fd.sip": None,
    "fd.sport": None,
    "evt.arg.name": "/proc/loadavg",
    "evt.arg.path": None,
    "evt.arg.oldpath": None,
    "evt.arg.newpath": None,
    "evt.arg.flags": "O_RDONLY|O_CLOEXEC",
    "evt.arg.mode": "0",
    "evt.rawarg.dirfd": -100,
    "evt.arg.filename": None,
    "evt.arg.exe": None,
    "evt.arg.args": None,
    "evt.arg.tuple": None,
    "evt.arg.addr": None,
    "evt.arg.status": None,
    "evt.arg.ret": None,
    "evt.arg.sig": None,
}
NO_FILE = {"fd.name": None, "fd.num": None, "evt.arg.name": None, "evt.arg.mode": None, "evt.rawarg.dirfd": None}
EXECVE = {
    **OPENAT,
    **NO_FILE,
    "evt.type": "execve",
    "evt.rawres": 0,
    "evt.arg.flags": "EXE_WRITABLE",
    "evt.arg.exe": "/usr/bin/cat",
    "evt.arg.args": base64.b64encode(b"/etc/hostname\0a b\0\xff\0").decode(),
}
CONNECT = {
    **OPENAT,
    **NO_FILE,
    "evt.type": "connect",
    "evt.rawres": -111,
    "evt.arg.flags": None,
    "fd.num": 3,
    "fd.sip": "127.0.0.1",
    "fd.sport": 4711,
    "evt.arg.tuple": "127.0.0.1:40000->127.0.0.1:4711",
}
# Said on standard error when `sysdig -v` is interrupted.
SUMMARY = b"""\
Driver Events:9314
Driver Drops:0
Driver Drops/sec:0.00
Elapsed time: 1.3, Captured Events: 9102, 7001.53 eps
"""


def line(fields: dict[str, Any], **changed: Any) -> bytes:
    """One line; `changed` by names in which a dot is written as two underscores."""
    return json.dumps({**fields, **{name.replace("__", "."): value for name, value in changed.items()}}).encode()


def adapter() -> Adapter:
    return find_driver("falco:kmod").adapter()
