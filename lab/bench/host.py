"""The machine that is measured on: what it is, and what others did on it meanwhile."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

# Of the machine's CPU time: what others may use, or its hypervisor give to others, before figures are worth little.
MAX_OTHERS = 0.05
_WATCH_SECONDS = 2.0
_SPEED = re.compile(r"^cpu MHz\s*: ([0-9.]+)$", re.MULTILINE)
_MODEL = re.compile(r"^(?:model name|Hardware|uarch|Model)\s*: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Moment:
    """CPU time spent on the machine until a moment, in seconds summed over all CPUs; `own` is ours and that of our
    children which have ended."""

    clock: float
    busy: float
    stolen: float
    own: float


@dataclass(frozen=True)
class Load:
    """What happened on the machine between two moments: in CPUs, so that 0.5 is half of one; `seconds` of the clock."""

    seconds: float
    own: float
    others: float
    stolen: float


@dataclass(frozen=True)
class HostLoad:
    """The load before measuring (nothing of ours ran), during all of it, and in each round of it.

    `average` are the load averages of 1, 5 and 15 minutes (proc_loadavg(5)), before and after; `mhz` the mean of the
    CPUs' clocks before and after, where the kernel tells them.
    """

    before: Load
    during: Load
    rounds: tuple[Load, ...]
    average: tuple[tuple[float, float, float], tuple[float, float, float]]
    mhz: tuple[float | None, float | None]


@dataclass(frozen=True)
class HostFacts:
    """What machine it is. `virtual` is what its hypervisor calls it; empty for one without."""

    model: str
    cpus: int
    memory_mib: int
    kernel: str
    system: str
    virtual: str


def cpu_times(text: str) -> tuple[int, int]:
    """Clock ticks since boot that all CPUs were busy, and that a hypervisor gave to others (proc_stat(5), `cpu`).

    Guests' time is part of user's.
    """
    words = next(line for line in text.splitlines() if line.startswith("cpu ")).split()[1:]
    user, nice, system, _, _, irq, softirq, stolen = (int(word) for word in [*words, *"00000000"][:8])
    return user + nice + system + irq + softirq, stolen


def moment() -> Moment:
    """Now. Of a child that still runs nothing counts as ours: none may, between two moments that are compared."""
    busy, stolen = cpu_times(Path("/proc/stat").read_text())
    hertz = os.sysconf("SC_CLK_TCK")
    return Moment(time.monotonic(), busy / hertz, stolen / hertz, sum(os.times()[:4]))


def between(start: Moment, end: Moment) -> Load:
    """The load from one moment to a later one."""
    seconds = end.clock - start.clock
    own = end.own - start.own
    # Ticks are counted where they end, so that a little less than nothing may come out.
    others = max(0.0, end.busy - start.busy - own)
    return Load(seconds, own / seconds, others / seconds, (end.stolen - start.stolen) / seconds)


def watch() -> Load:
    """Two seconds in which this process does nothing."""
    start = moment()
    time.sleep(_WATCH_SECONDS)  # the interval itself is what is wanted; nobody is waited for
    return between(start, moment())


def why_busy(load: HostLoad, cpus: int) -> str:
    """Why figures that were taken under that load are worth little, as a sentence; empty when they are good."""
    limit = MAX_OTHERS * cpus
    for when, taken in (("before the measuring", load.before), ("while it was measured", load.during)):
        if taken.others > limit:
            return f"others used {taken.others:.2f} CPUs {when}"
        if taken.stolen > limit:
            return f"the machine's hypervisor gave {taken.stolen:.2f} of its CPUs to others {when}"
    return ""


def speed(cpuinfo: str) -> float | None:
    """The mean of the CPUs' clocks in /proc/cpuinfo, in MHz; None where it does not tell them."""
    clocks = [float(word) for word in _SPEED.findall(cpuinfo)]
    return sum(clocks) / len(clocks) if clocks else None


def facts() -> HostFacts:
    """This machine."""
    cpuinfo = Path("/proc/cpuinfo").read_text(errors="replace")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    product = _line(Path("/sys/class/dmi/id/product_name"))
    return HostFacts(
        model=model(cpuinfo) or platform.machine(),
        cpus=os.cpu_count() or 1,
        memory_mib=memory,
        kernel=platform.release(),
        system=system,
        virtual=virtual(cpuinfo, product),
    )


def model(cpuinfo: str) -> str:
    """The first CPU's name in /proc/cpuinfo; empty where it has none."""
    found = _MODEL.search(cpuinfo)
    return " ".join(found[1].split()) if found else ""


def virtual(cpuinfo: str, product: str) -> str:
    """What a virtual machine is called, by its firmware; empty for one whose CPUs' flags name no hypervisor."""
    if not re.search(r"^flags\s*:.* hypervisor( |$)", cpuinfo, re.MULTILINE):
        return ""
    return product or "unnamed"


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
