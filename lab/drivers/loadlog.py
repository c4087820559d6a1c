"""What a guest's kernel says while a driver is loaded or taken out, as a message tells it."""

from __future__ import annotations

from lab.evidence.printk import parse_console
from lab.evidence.splats import find_splats, unexpected
from lab.machines.machine import Machine

_LINES = 8
_SPLAT_LINES = 14  # to where an oops says in which function it was
_INDENT = "\n  "


class LoadLog:
    """The kernel's log from the moment that this is made."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._last = self._lines()[-1:]

    def said(self) -> str:
        """What the kernel complained of, else its last lines, each on a line of the message; empty when it said
        nothing."""
        lines = self._new()
        log = "\n".join(lines).encode()
        for splat in unexpected(find_splats(parse_console(log)))[:1]:
            return f"\nThe kernel complained:{_INDENT}" + _INDENT.join(splat.lines[:_SPLAT_LINES])
        return f"\nThe kernel said:{_INDENT}" + _INDENT.join(lines[-_LINES:]) if lines else ""

    def _new(self) -> list[str]:
        """The lines behind the last one that was there; all of them when that has left the kernel's buffer."""
        lines = self._lines()
        for index in range(len(lines) - 1, -1, -1):
            if lines[index : index + 1] == self._last:
                return lines[index + 1 :]
        return lines

    def _lines(self) -> list[str]:
        return self._machine.run(["dmesg"], check=False).stdout.decode(errors="replace").splitlines()
