"""Symbols of a machine, also of one that has crashed: another fork of its template has them at the same places."""

from __future__ import annotations

from lab.debugging.symbols import NoSymbolError, Symbols, read_symbols
from lab.machines.fork import Fork
from lab.machines.machine import Machine

_DEADLINE = 4.0  # on hardware: whose guest hangs shall not be waited for long


def symbols_of(machine: Machine) -> Symbols:
    """The machine's symbols without its help, for it may hang: from another fork, or of a booted one from itself.

    What was loaded since the template was saved is missing when they come from another fork. NoSymbolError for a
    machine that was booted and does not live: nobody can tell any more. Any LabError when one hangs.
    """
    if not isinstance(machine, Fork) and machine.alive():
        return read_symbols(machine, _DEADLINE)
    if not isinstance(machine, Fork):
        raise NoSymbolError("the guest has died, and no other has its symbols at the same addresses")
    purpose = f"symbols of {machine.folder.name}"
    with Fork(machine.template, machine.spec, machine.qemu, machine.folder.path.parent, purpose=purpose) as twin:
        twin.start(anonymous=True)
        return read_symbols(twin)
