"""Symbols of a machine, also of one that has crashed: another fork of its template has them at the same places."""

from __future__ import annotations

from lab.debugging.symbols import NoSymbolError, Symbols, read_symbols
from lab.machines.fork import Fork
from lab.machines.machine import Machine


def symbols_of(machine: Machine) -> Symbols:
    """The machine's symbols, from itself while it lives.

    What was loaded since the template was saved is missing when they come from another fork. NoSymbolError for a
    machine that was booted and does not live: nobody can tell any more.
    """
    if machine.alive():
        return read_symbols(machine)
    if not isinstance(machine, Fork):
        raise NoSymbolError("the guest has died, and no other has its symbols at the same addresses")
    purpose = f"symbols of {machine.folder.name}"
    with Fork(machine.template, machine.spec, machine.qemu, machine.folder.path.parent, purpose=purpose) as twin:
        twin.start(anonymous=True)
        return read_symbols(twin)
