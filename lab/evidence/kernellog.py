"""A machine's kernel log: /dev/kmsg while the guest can read it, and its console, which also has what came after."""

from __future__ import annotations

from lab.evidence.printk import Record, merged, parse_console, parse_kmsg
from lab.evidence.splats import Splat, find_splats, unexpected
from lab.evidence.taint import read_taint, taint_splat
from lab.machines.machine import Machine


class KernelLog:
    """The log of one machine, whatever became of it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def records(self) -> list[Record]:
        """All records until now, in the order of time; of a dead guest what was on its console.

        MachineLostError when the guest hangs.
        """
        console = parse_console(self._machine.console.read())
        if not self._machine.alive():
            return console
        return merged(parse_kmsg(self._machine.read("/dev/kmsg").stdout), console)

    def on_console(self) -> list[Splat]:
        """The complaints that a lost machine's console still got to print."""
        return unexpected(find_splats(parse_console(self._machine.console.read())))

    def complaints(self) -> list[Splat]:
        """What the kernel complained about and is not allowed: splats, and a taint that nothing in the log explains."""
        records = self.records()
        found = find_splats(records)
        taint = taint_splat(read_taint(self._machine), found) if self._machine.alive() else None
        return unexpected([*found, taint] if taint else found)
