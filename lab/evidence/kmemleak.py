"""Memory that nothing points to any more, as a kernel with kmemleak finds it."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

from lab.errors import LabError, UnsupportedError
from lab.evidence.details import Details, read_details
from lab.kernels.kernel import Kernel
from lab.machines.machine import Machine

KERNEL = "build:6.12+kmemleak"
_DEADLINE = 60.0  # seconds on hardware: three scans of the whole memory
_MAX_REPORT = 1 << 20
_MAX_LEAKS = 500
# What is younger than five seconds is taken for no leak. Nor is what changed between two scans, so there is one before.
# `verbose` puts the objects into the kernel log, too, where they fail the scenario.
_SCAN = f"""
cd /sys/kernel/debug || exit
echo 1 >/sys/module/kmemleak/parameters/verbose
echo scan >kmemleak || exit
sleep 5.5
echo scan >kmemleak && echo scan >kmemleak && head -c {_MAX_REPORT} kmemleak
"""
_MODULES = ["sh", "-c", r"grep '\[' /proc/kallsyms"]
_SYMBOL = re.compile(r"([0-9a-f]{8,16}) [tT] (\S{1,256})\t\[(\w{1,64})\]", re.ASCII)
_OBJECT = re.compile(r"unreferenced object 0x(?P<address>[0-9a-f]{1,16}) \(size (?P<size>\d{1,20})\):", re.ASCII)
_ADDRESS = re.compile(r"(?<=    )0x([0-9a-f]{8,16})$", re.ASCII)
_REACH = 1 << 20  # a function is no larger


@dataclass(frozen=True)
class Leak:
    """One object: where it is, its `size` in bytes, and by whom and in which function it was allocated."""

    address: int
    size: int
    details: Details

    def __str__(self) -> str:
        who = f" by {self.details.comm} (pid {self.details.pid})" if self.details.comm else ""
        return f"{self.size} bytes at {self.address:#x}, allocated in {self.details.culprit}{who}"


class Kmemleak:
    """The leak detector of one machine's kernel."""

    def __init__(self, machine: Machine, kernel: Kernel) -> None:
        """UnsupportedError, naming a kernel that has it, when the kernel lacks kmemleak."""
        if kernel.option("DEBUG_KMEMLEAK") != "y":
            raise UnsupportedError(
                f"kernel {kernel.release} lacks CONFIG_DEBUG_KMEMLEAK; {KERNEL} has it", hint=f"--kernel {KERNEL}"
            )
        self._machine = machine
        # A driver leaks most when it is unloaded, and then the kernel has forgotten its functions.
        self._places = Places(machine.run(_MODULES, check=False).text)

    def leaks(self) -> list[Leak]:
        """Scan, which takes some seconds, and return what has leaked since the guest booted: 500 at most.

        LabError when the kernel gave the detector up.
        """
        done = self._machine.run(["sh", "-c", _SCAN], check=False, deadline=_DEADLINE)
        if done.status != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise LabError(f"kmemleak does not scan: {said}", hint="the kernel log says why it gave up (kmemleak: ...)")
        return read_leaks(done.stdout.decode(errors="replace"), self._places)


class Places:
    """Functions of modules by their addresses, as /proc/kallsyms had them."""

    def __init__(self, kallsyms: str) -> None:
        found = (_SYMBOL.fullmatch(line) for line in kallsyms.splitlines())
        self._known = sorted((int(match[1], 16), match[2], match[3]) for match in found if match)

    def name(self, line: str) -> str:
        """A line of a backtrace, with the function in place of an address alone that the kernel knows no more."""
        match = _ADDRESS.search(line)
        at = bisect.bisect_right(self._known, (int(match[1], 16),)) - 1 if match else -1
        if match is None or at < 0:
            return line
        address, (start, function, module) = int(match[1], 16), self._known[at]
        end = self._known[at + 1][0] if at + 1 < len(self._known) else start + _REACH
        if address - start >= _REACH:
            return line
        return f"{line[: match.start()]}{function}+{address - start:#x}/{max(end - start, 1):#x} [{module}]"


def read_leaks(report: str, places: Places | None = None) -> list[Leak]:
    """The objects in /sys/kernel/debug/kmemleak; what is no object is passed over."""
    leaks: list[Leak] = []
    lines: list[str] = []
    for line in [*report.splitlines(), "unreferenced object"]:
        if line.startswith("unreferenced object"):
            found = _OBJECT.match(lines[0]) if lines else None
            if found and len(leaks) < _MAX_LEAKS:
                named = [places.name(each) if places else each for each in lines[1:]]
                details = read_details(lines[0], named)
                leaks.append(Leak(int(found["address"], 16), int(found["size"]), details))
            lines = []
        lines.append(line)
    return leaks
