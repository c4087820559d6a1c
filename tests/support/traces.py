"""What machines leave on the host: processes, sockets, ports, files, descriptors, threads, memory."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LISTENS = "0A"  # a socket's state in /proc/net/tcp (include/net/tcp_states.h: TCP_LISTEN)
_M_ARENA_MAX = -8  # malloc.h
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True)
class Traces:
    """What there is of the machines below one folder, in words, and what this process has open itself."""

    processes: tuple[str, ...]
    sockets: tuple[str, ...]
    ports: tuple[str, ...]
    files: tuple[str, ...]
    descriptors: tuple[str, ...]
    threads: tuple[str, ...]


def traces(run_dir: Path, *more: Path) -> Traces:
    """Look now, when what nobody holds any more is gone.

    `run_dir` is what LAB_RUN_DIR says to the processes in question, `more` are folders for files.
    """
    gc.collect()
    marked = processes(run_dir)
    kept = (path for folder in (run_dir, *more) for path in folder.rglob("*") if path.name != ".lock")
    return Traces(
        processes=tuple(f"{pid}: {command_line(pid)}" for pid in marked),
        sockets=tuple(_named_sockets((os.getpid(), *marked))),
        ports=tuple(_ports((os.getpid(), *marked))),
        files=tuple(sorted(str(path) for path in kept)),
        descriptors=tuple(sorted(_SOCKET.sub("a socket", link) for link in _links(os.getpid()))),
        threads=tuple(sorted(thread.name for thread in threading.enumerate())),
    )


def processes(run_dir: Path) -> list[int]:
    """The processes, but for this one, that were started with LAB_RUN_DIR=`run_dir`."""
    mark = f"LAB_RUN_DIR={run_dir}\0".encode()
    return [pid for pid in _pids() if pid != os.getpid() and mark in b"\0" + _read(pid, "environ") and not _ended(pid)]


def qemus(run_dir: Path) -> list[int]:
    """Those of them that are QEMU, or will be in a moment."""
    return [pid for pid in processes(run_dir) if "qemu-system" in command_line(pid)]


def command_line(pid: int) -> str:
    """A process's words; nothing when it is gone."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def parent(pid: int) -> int:
    """A process's parent; 0 when it is gone."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def resident_mib() -> float:
    """What this process holds of the host's memory, without what it only has not given back yet.

    What is freed stays with the thread that had it, and pins more: 57 MiB after 200 machines, of which not one object
    was left. `one_arena` before makes it as if there were one thread.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _kib(Path("/proc/self/status").read_text(), "VmRSS") / 1024


def one_arena() -> None:
    """Have the C library keep one heap for all threads from now on (mallopt(3))."""
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def available_mib() -> float:
    """What the host can still give."""
    return _kib(Path("/proc/meminfo").read_text(), "MemAvailable") / 1024


def _kib(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found, name
    return int(found[1])


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _ended(pid: int) -> bool:
    return _read(pid, "stat").rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"], [])


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it is gone, or another user's
        return b""


def _links(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    with suppress(OSError):  # the process is gone
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it has just been closed, as what lists this folder is
                found.append(str(path.readlink()))
    return found


def _held(pids: Iterable[int]) -> set[str]:
    """The inodes of these processes' sockets."""
    return {found[1] for pid in pids for link in _links(pid) if (found := _SOCKET.fullmatch(link))}


def _named_sockets(pids: Iterable[int]) -> list[str]:
    """The names of the Unix sockets these processes have, which need not say the folder (lab.machines.sockets)."""
    sockets = _held(pids)
    lines = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return sorted(words[7] for words in lines if len(words) > 7 and words[6] in sockets)


def _ports(pids: Iterable[int]) -> list[str]:
    """The TCP addresses on which these processes listen, as the kernel writes them."""
    sockets = _held(pids)
    lines = (line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines())
    return sorted(words[1] for words in lines if words[3] == _LISTENS and words[9] in sockets)
