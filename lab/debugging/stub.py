"""QEMU's gdb stub on a machine that runs already: a unix socket in the machine's own folder, opened when asked for.

Nothing of it is in the machine's specification: forks of any template have it.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from lab.errors import LabError, MachineLostError
from lab.machines.monitor import Monitor
from lab.machines.record import Folder

_CHARDEV = "lab-gdb-"
_LONGEST = 107  # bytes of a Unix socket's path, for QEMU as for gdb


class Stopped(Protocol):
    """What has a stub: a machine, or one that is replayed."""

    monitor: Monitor
    folder: Folder

    def alive(self) -> bool:
        """Whether the guest still runs, or can."""
        ...


@contextlib.contextmanager
def open_stub(machine: Stopped) -> Iterator[Path]:
    """The socket of the machine's stub for as long as the block lasts; afterwards the guest runs if it did before.

    LabError when the machine is being debugged already.
    """
    monitor = machine.monitor
    taken = [found["label"] for found in monitor.execute("query-chardev") if found["label"].startswith(_CHARDEV)]
    if taken:
        raise LabError("this machine is being debugged already", hint="end the other session, or start another machine")
    with _place(machine.folder.path) as folder:
        yield from _listen(machine, folder)


def _listen(machine: Stopped, folder: Path) -> Iterator[Path]:
    monitor = machine.monitor
    name = f"{_CHARDEV}{secrets.token_hex(4)}"
    path = folder / f"{name}.sock"
    ran = _runs(machine)
    address = {"type": "unix", "data": {"path": str(path)}}
    backend = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
    monitor.execute("chardev-add", {"id": name, "backend": backend})
    try:
        said = _human(machine, f"gdbserver chardev:{name}")
        if "Could not open" in said or "rror" in said:
            raise LabError(f"QEMU opens no gdb stub: {said.strip()[:200]}")
        yield path
    finally:
        # A machine that has ended has nothing to be put back.
        with contextlib.suppress(MachineLostError):
            # This takes the character device away as well.
            _human(machine, "gdbserver none")
            if ran and machine.alive() and not _runs(machine):
                monitor.execute("cont")
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """The machine's folder, or another one for a while where its path is too long for a socket's."""
    if len(bytes(folder)) + len(f"/{_CHARDEV}12345678.sock") <= _LONGEST:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="lab-") as short:
        yield Path(short)


def _runs(machine: Stopped) -> bool:
    return bool(machine.monitor.execute("query-status")["running"])


def _human(machine: Stopped, line: str) -> str:
    return str(machine.monitor.execute("human-monitor-command", {"command-line": line}))
