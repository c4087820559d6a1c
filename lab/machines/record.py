"""A machine's folder and record, by which any later run knows what is still alive, whose it is and what to end."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from lab.errors import HostError, LabError
from lab.store import translate_disk_errors

_RECORD, _OWNER = "record.json", "owner.lock"
_LOCK_DEADLINE = 60.0
_KILL_DEADLINE = 30.0


@dataclass(frozen=True)
class Record:
    """What identifies a machine's process beyond doubt: a pid alone is soon somebody else's."""

    name: str
    purpose: str
    pid: int
    start_time: int  # clock ticks since the host's boot, field 22 of /proc/PID/stat
    boot_id: str
    started: float  # seconds since the epoch
    kept: bool = False  # nothing runs in it any more: it waits for somebody to look at it


class Folder:
    """A machine's own folder, mode 0700, held by its owner's lock for as long as the owner lives."""

    def __init__(self, run_dir: Path) -> None:
        with _creating(run_dir):
            self.name = secrets.token_hex(4)
            self.path = run_dir / self.name
            self.path.mkdir(mode=0o700)
            self._owner: IO[bytes] = (self.path / _OWNER).open("wb")
            fcntl.flock(self._owner, fcntl.LOCK_EX)

    def write(self, pid: int, purpose: str, *, kept: bool = False) -> None:
        """Record the process that now belongs to this folder."""
        record = Record(self.name, purpose, pid, start_time(pid), boot_id(), time.time(), kept)
        part = self.path / f"{_RECORD}.part"
        part.write_text(json.dumps(asdict(record)))
        part.replace(self.path / _RECORD)

    def remove(self) -> None:
        """Remove the folder and give up its lock; safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._owner.close()


def reap(run_dir: Path) -> int:
    """End the machines whose owner is gone and remove their folders; returns how many folders went.

    Ends only what matches its record: same boot of the host, same pid, same start time.
    """
    if not run_dir.is_dir():
        return 0
    removed = 0
    with _creating(run_dir):
        for folder in run_dir.iterdir():
            if folder.is_dir() and _orphaned(folder):
                _end(_read(folder))
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed


def living(run_dir: Path) -> list[Record]:
    """The machines that run now, whoever owns them."""
    folders = run_dir.iterdir() if run_dir.is_dir() else iter(())
    records = (_read(folder) for folder in folders if folder.is_dir())
    return [record for record in records if record is not None and _matches(record)]


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when it is gone. The name in field 2 may hold spaces."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.rpartition(")")[2].split()[19])


def boot_id() -> str:
    """The host's boot, as the kernel names it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextmanager
def _creating(run_dir: Path) -> Iterator[None]:
    """Hold the folder of machines against other runs that make or reap; make it when it is not there."""
    with translate_disk_errors(run_dir):
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = run_dir.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
            raise HostError(f"{run_dir} is not a private folder of yours", hint="set LAB_RUN_DIR to one that is")
        try:
            with FileLock(run_dir / ".lock").acquire(timeout=_LOCK_DEADLINE):
                yield
        except Timeout as error:
            raise LabError(f"another run holds {run_dir}", hint="end it, then run again") from error


def _orphaned(folder: Path) -> bool:
    try:
        with (folder / _OWNER).open("rb") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _read(folder: Path) -> Record | None:
    try:
        record = Record(**json.loads((folder / _RECORD).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if isinstance(record.pid, int) else None


def _matches(record: Record) -> bool:
    return record.boot_id == boot_id() and record.start_time != 0 and start_time(record.pid) == record.start_time


def _end(record: Record | None) -> None:
    if record is None or not _matches(record):
        return
    try:
        handle = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return
    try:
        # Opened before it is compared again: from here on the number cannot become another process's.
        if _matches(record):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], _KILL_DEADLINE)
    finally:
        os.close(handle)
