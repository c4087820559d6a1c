"""What a guest's kernel holds of memory: in all, and what modules that are gone have left."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from lab.errors import LabError
from lab.machines.machine import Machine

_DEADLINE = 20.0  # seconds on hardware
_GONE_DEADLINE = 3.0
# A slab cache keeps empty slabs for itself, from 7.x on many: after nine hundred processes at once 6.4 MiB stayed on
# 7.3, 1.6 MiB on 6.12, and next to nothing when it had been asked to shrink (in guests without a driver).
_MEMINFO = """
for cache in /sys/kernel/slab/*/shrink; do echo 1 >"$cache"; done 2>/dev/null
cat /proc/meminfo
echo "PageSize: $(($(stat -f -c %S /proc) / 1024)) kB"
cat /proc/zoneinfo
"""
_ROW = re.compile(r"(\w{1,32}(?:\(\w{1,16}\))?):\s+(\d{1,15}) kB", re.ASCII)
# Free pages that a CPU keeps for itself are not among the free ones of meminfo. After a program with much memory they
# are many.
_KEPT = re.compile(r"^ +count: +(\d{1,12})$", re.ASCII | re.MULTILINE)
_NEEDED = (
    "MemTotal",
    "MemFree",
    "Buffers",
    "Cached",
    "AnonPages",
    "SReclaimable",
    "Slab",
    "VmallocUsed",
    "PageSize",
)
# 0x...-0x...   SIZE CALLER ...: a caller of a module that is gone is an address, no function any more. So is one that
# was in a module's first function, whose memory is given back when it has run.
_AREA = re.compile(r"0x[0-9a-f]{6,16}-0x[0-9a-f]{6,16}\s+(\d{1,15}) 0x([0-9a-f]{6,16})(?: |$)", re.ASCII)
# Where its code is and was: each section's beginning. How long they are is told of all together only.
_PLACES = (
    'cd "/sys/module/$1" && cat coresize sections/.text && cat sections/.init.text sections/.exit.text 2>/dev/null'
)
_FIRST = 1 << 16  # more than any module's first function has
_ADDRESS = re.compile(r"0x[0-9a-f]{6,16}", re.ASCII)
_MAX_AREAS = 1000


@dataclass(frozen=True)
class Memory:
    """A moment's figures, in KiB. `kernel` is what the kernel holds and cannot give back: slabs, stacks, page tables,
    vmalloc, pages of drivers."""

    kernel: int
    slab: int
    vmalloc: int

    def __str__(self) -> str:
        return f"{self.kernel} KiB (slab {self.slab}, vmalloc {self.vmalloc})"


@dataclass(frozen=True)
class Places:
    """Where a module's code is: pairs of a first address and what lies behind the last."""

    ranges: tuple[tuple[int, int], ...] = ()

    def hold(self, address: int) -> bool:
        return any(start <= address < end for start, end in self.ranges)


@dataclass(frozen=True)
class Orphan:
    """Memory that a module which is gone took and never gave back: `size` in bytes, where it was taken."""

    size: int
    caller: int

    def __str__(self) -> str:
        return f"{self.size} bytes of vmalloc taken at {self.caller:#x}"


class MemoryOf:
    """The `memory` fixture."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def now(self) -> Memory:
        """What the kernel holds, what its slab caches keep in reserve given back."""
        return read_meminfo(self._machine.run(["sh", "-c", _MEMINFO], deadline=_DEADLINE).text)

    def at_most(self, kernel: int) -> Memory:
        """What the kernel holds when it is no more than that (KiB). What nobody uses is freed a little later: this
        looks again for up to 3 s on hardware while it is more, and has caches dropped."""
        end = time.monotonic() + self._machine.scaled(_GONE_DEADLINE)
        while (held := self.now()).kernel > kernel and time.monotonic() < end:
            self._machine.run(["sh", "-c", "echo 3 >/proc/sys/vm/drop_caches"], deadline=_DEADLINE)
        return held

    def places(self, module: str) -> Places:
        """Where that module's code is; nowhere when it is not loaded, or is none."""
        if not module:
            return Places()
        return read_places(self._machine.run(["sh", "-c", _PLACES, "sh", module], check=False).text)

    def orphans(self, places: Places) -> tuple[Orphan, ...]:
        """What code that was in these places took of vmalloc and has not given back, the module being gone. Nothing is
        known where the kernel does not tell callers."""
        if not places.ranges:
            return ()
        return read_orphans(self._machine.run(["cat", "/proc/vmallocinfo"], check=False).text, places)


def read_meminfo(text: str) -> Memory:
    """The figures in /proc/meminfo, with a page's size and /proc/zoneinfo behind it; LabError when one is missing."""
    rows = {name: int(number) for name, number in _ROW.findall(text)}
    missing = [name for name in _NEEDED if name not in rows]
    if missing:
        raise LabError(f"the guest's /proc/meminfo does not tell {', '.join(missing)}")
    kept = sum(int(count) for count in _KEPT.findall(text)) * rows["PageSize"]
    users = kept + sum(rows[name] for name in ("MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable"))
    return Memory(kernel=rows["MemTotal"] - users, slab=rows["Slab"], vmalloc=rows["VmallocUsed"])


def read_places(text: str) -> Places:
    """A module's size and the addresses of its sections, one a line; nowhere for what says less."""
    words = text.split()
    if len(words) < 2 or not words[0].isdigit() or not all(_ADDRESS.fullmatch(word) for word in words[1:]):
        return Places()
    core, *others = (int(word, 16) for word in words[1:])
    return Places(((core, core + int(words[0])), *((start, start + _FIRST) for start in others)))


def read_orphans(text: str, places: Places) -> tuple[Orphan, ...]:
    """The areas in /proc/vmallocinfo that were taken from there, their callers no functions any more."""
    found = (_AREA.match(line) for line in text.splitlines())
    left = (Orphan(int(match[1]), int(match[2], 16)) for match in found if match)
    return tuple(orphan for orphan in left if places.hold(orphan.caller))[:_MAX_AREAS]
