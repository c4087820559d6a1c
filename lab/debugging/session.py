"""What a person's debugger is given: symbols where they are in the guest, of the very build that runs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.debugging.debuginfo import DebugInfo, build_id_in, demand_same_build, sections
from lab.debugging.gdbprogram import Layout, script
from lab.debugging.names import names_elf
from lab.debugging.symbols import Symbols, read_sections, read_symbols
from lab.errors import LabError
from lab.machines.machine import Machine

_ANCHOR = "_stext"
_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_SYMTAB = 2
_MOST_NOTES = 64 << 10


@dataclass(frozen=True)
class Debuggee:
    """A running guest and what is known of its build: `info` of its kernel, `module` of its driver (None: nothing)."""

    machine: Machine
    info: DebugInfo | None
    module: Path | None


def gdb_script(
    guest: Debuggee, stub: Path, breaks: Sequence[str], notice: Callable[[str], None], *, go: bool = True
) -> Path:
    """A file of gdb's commands for that guest, which must run now; it lies in the machine's own folder.

    WrongSymbolsError when what is to be loaded is of another build, NoSymbolError for an unknown function.
    """
    machine, folder = guest.machine, guest.machine.folder.path
    symbols = read_symbols(machine)
    offset = _kernel_offset(guest, symbols)
    modules = [_module(machine, guest.module)] if guest.module else []
    addresses = [symbols.address(name) for name in breaks]
    names = None
    if guest.info is None:
        notice("there is no debug information of this kernel: gdb knows its functions' names, and no variables")
        names = folder / "names.elf"
        names.write_bytes(names_elf(symbols, machine.spec.arch))
    text = script(stub, guest.info, Layout(offset, modules, names), addresses, go=go)
    path = folder / "gdb-commands"
    path.write_text(text)
    return path


def _kernel_offset(guest: Debuggee, symbols: Symbols) -> int:
    """How far the kernel lies from where its vmlinux says."""
    if guest.info is None:
        return 0
    notes = guest.machine.run(["cat", "/sys/kernel/notes"], check=False).stdout[:_MOST_NOTES]
    demand_same_build(guest.info.vmlinux, build_id_in(notes), "kernel")
    return symbols.address(_ANCHOR) - linked_address(guest.info.vmlinux, _ANCHOR)


def _module(machine: Machine, path: Path) -> tuple[Path, dict[str, int]]:
    name = _module_name(path)
    notes = machine.run(["cat", f"/sys/module/{name}/notes/.note.gnu.build-id"], check=False).stdout[:_MOST_NOTES]
    demand_same_build(path, build_id_in(notes), "module")
    return path, read_sections(machine, name)


def _module_name(path: Path) -> str:
    """The name that a module has when it is loaded, from its .modinfo."""
    with path.open("rb") as stream:
        for section, _, offset, size in sections(path):
            if section == ".modinfo":
                stream.seek(offset)
                for word in stream.read(min(size, 1 << 20)).split(b"\0"):
                    if word.startswith(b"name="):
                        return word.removeprefix(b"name=").decode(errors="replace")
    raise LabError(f"{path} is no kernel module")


def linked_address(vmlinux: Path, name: str) -> int:
    """Where a vmlinux says that a symbol is; LabError when it has none of that name."""
    found = {section: (kind, offset, size) for section, kind, offset, size in sections(vmlinux)}
    if ".symtab" in found and ".strtab" in found and found[".symtab"][0] == _SHT_SYMTAB:
        with vmlinux.open("rb") as stream:
            _, offset, size = found[".strtab"]
            stream.seek(offset)
            strings = stream.read(size)
            _, offset, size = found[".symtab"]
            stream.seek(offset)
            table = stream.read(size - size % _SYMBOL.size)
        wanted = b"\0" + name.encode() + b"\0"
        at = strings.find(wanted) + 1
        for index, _, _, _, value, _ in _SYMBOL.iter_unpack(table):
            if at and index == at:
                return int(value)
    raise LabError(f"{vmlinux} has no symbol {name}", hint="take the vmlinux that the kernel was linked as")
