"""What a bundle gets of a machine through its stub, and, when it crashed, its memory."""

from __future__ import annotations

from pathlib import Path

from lab.debugging.debugger import debugging
from lab.debugging.dump import take_dump
from lab.debugging.twin import symbols_of
from lab.errors import LabError
from lab.machines.machine import Machine

_LARGEST_DUMP_MIB = 256


def collect(place: Path, machine: Machine) -> None:
    """Write `backtraces.txt`, and a dump for a machine that no longer lives. Never raises for what cannot be had:
    the file says why."""
    (place / "backtraces.txt").write_text(stacks(machine))
    if machine.answers_monitor() and not machine.alive():
        try:
            take_dump(machine, place, largest_mib=_LARGEST_DUMP_MIB)
        except LabError as error:
            (place / "memory.txt").write_text(f"There is no dump: {error}\n")


def stacks(machine: Machine) -> str:
    """Where all CPUs are, or were when the machine died, as text; one sentence when that cannot be had."""
    if not machine.answers_monitor():
        return "QEMU no longer runs.\n"
    try:
        symbols = symbols_of(machine)
        # On amd64 only some kernels keep them, and nobody here knows which this one is.
        pointers = machine.spec.arch.name != "amd64"
        with debugging(machine, symbols, frame_pointers=pointers) as debugger:
            return "\n\n".join(str(stack) for stack in debugger.backtraces()) + "\n"
    except LabError as error:
        return f"There are no backtraces: {error}\n"
