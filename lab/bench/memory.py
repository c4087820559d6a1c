"""What memory a process takes, as its kernel counts it (/proc/PID/smaps_rollup)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Memory:
    """A process's memory in MiB.

    `private` is what it must be given and shares with nobody: its anonymous pages, where a fork's writes to its guest's
    memory go too, and those of them that were swapped out. What it maps of files is not in it: the template's memory,
    which all forks of it share, and QEMU's program are page cache, and can be taken away and read again. `dirty` is
    Private_Dirty, which for a while counts pages of a new template that its disk has not got yet. `resident` counts all
    that it maps, `proportional` shares that with who maps it too.
    """

    private: float
    dirty: float
    resident: float
    proportional: float


def read_memory(text: str) -> Memory:
    """From the text of smaps_rollup; KeyError when that has not what it should."""
    sizes = {name: int(size) / 1024 for name, size in _LINE.findall(text)}
    return Memory(sizes["Anonymous"] + sizes["Swap"], sizes["Private_Dirty"], sizes["Rss"], sizes["Pss"])


def memory_of(pid: int) -> Memory:
    """That process's, now."""
    return read_memory(Path(f"/proc/{pid}/smaps_rollup").read_text())
