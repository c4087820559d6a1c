"""What a person's debugger is given: symbols where they are in the guest, of the very build that runs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.arches import Arch
from lab.debugging.debuginfo import DebugInfo, build_id_in, demand_same_build, sections
from lab.debugging.gdbprogram import Layout, script
from lab.debugging.names import names_elf
from lab.debugging.symbols import Symbols, read_sections, read_symbols
from lab.errors import LabError
from lab.machines.machine import Machine

ANCHOR = "_stext"
_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_SYMTAB = 2
_MOST_NOTES = 64 << 10


@dataclass(frozen=True)
class Debuggee:
    """A running guest and what is known of its build: `info` of its kernel, `module` of its driver (None: nothing)."""

    machine: Machine
    info: DebugInfo | None
    module: Path | None


@dataclass(frozen=True)
class Told:
    """What a guest told of itself: its symbols, its kernel's notes, and its driver's module's notes and sections."""

    symbols: Symbols
    notes: bytes
    module_notes: bytes
    sections: Mapping[str, int]


@dataclass(frozen=True)
class Start:
    """How a debugger begins: it connects to `line`, stops at `breaks`, and does `go` ("continue"; empty: nothing).
    `kgdb`: what answers there is the kernel's own debugger."""

    line: Path
    breaks: Sequence[str]
    go: str = "continue"
    kgdb: bool = False


def gdb_script(guest: Debuggee, start: Start, notice: Callable[[str], None]) -> Path:
    """A file of gdb's commands for that guest, which must run now; it lies in the machine's own folder.

    WrongSymbolsError when what is to be loaded is of another build, NoSymbolError for an unknown function.
    """
    machine = guest.machine
    module_notes, found = b"", {}
    if guest.module:
        name = module_name(guest.module)
        module_notes = _read(machine, f"/sys/module/{name}/notes/.note.gnu.build-id")
        found = read_sections(machine, name)
    told = Told(read_symbols(machine), read_notes(machine), module_notes, found)
    text = gdb_commands(told, guest.info, guest.module, start, machine.spec.arch, machine.folder.path, notice)
    path = machine.folder.path / "gdb-commands"
    path.write_text(text)
    return path


def gdb_commands(
    told: Told,
    info: DebugInfo | None,
    module: Path | None,
    start: Start,
    arch: Arch,
    folder: Path,
    notice: Callable[[str], None],
) -> str:
    """gdb's commands for a guest that told this of itself; errors as of `gdb_script`.

    The file of names that they may need is written into the folder.
    """
    offset = 0
    if info is not None:
        demand_same_build(info.vmlinux, build_id_in(told.notes), "kernel")
        offset = told.symbols.address(ANCHOR) - linked_address(info.vmlinux, ANCHOR)
    if module is not None:
        demand_same_build(module, build_id_in(told.module_notes), "module")
    addresses = [told.symbols.address(name) for name in start.breaks]
    names = None
    if info is None:
        notice("there is no debug information of this kernel: gdb knows its functions' names, and no variables")
        names = folder / "names.elf"
        names.write_bytes(names_elf(told.symbols, arch))
    layout = Layout(offset, [(module, told.sections)] if module else [], names)
    return script(start.line, info, layout, addresses, go=start.go, kgdb=arch if start.kgdb else None)


def read_notes(machine: Machine) -> bytes:
    """The notes of the kernel that runs, in which its build id is."""
    return _read(machine, "/sys/kernel/notes")


def _read(machine: Machine, path: str) -> bytes:
    return machine.run(["cat", path], check=False).stdout[:_MOST_NOTES]


def module_name(path: Path) -> str:
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
