"""An ELF file of bare symbols, so that gdb knows the names of functions where there is no debug information."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from lab.arches import Arch
from lab.debugging.symbols import Symbol, Symbols

_SHT_NOBITS, _SHT_SYMTAB, _SHT_STRTAB = 8, 2, 3
_ALLOC_EXEC = 0x6
_FUNCTION, _OBJECT = 0x12, 0x11  # global
_GAP = 64 << 20  # what is further apart gets a section of its own
_SECTION = struct.Struct("<IIQQQQIIQQ")
_CODE = "tTwW"


def names_elf(symbols: Symbols, arch: Arch) -> bytes:
    """The file: every symbol at its address, in sections that have no content."""
    known = [symbol for symbol in symbols.all() if symbol.address]
    groups = _groups(known)
    strings, entries = bytearray(b"\0"), bytearray(24)
    for number, group in enumerate(groups, start=1):
        for symbol in group:
            kind = _FUNCTION if symbol.kind in _CODE else _OBJECT
            entries += struct.pack("<IBBHQQ", len(strings), kind, 0, number, symbol.address, 0)
            strings += symbol.name.encode() + b"\0"
    names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    offset = 64
    table = offset + len(entries) + len(strings) + len(names)
    rows = [bytes(64)]
    for group in groups:
        low, size = group[0].address, group[-1].address - group[0].address + 4096
        rows.append(_SECTION.pack(1, _SHT_NOBITS, _ALLOC_EXEC, low, offset, size, 0, 0, 16, 0))
    last = len(groups)
    rows.append(_SECTION.pack(7, _SHT_SYMTAB, 0, 0, offset, len(entries), last + 2, 1, 8, 24))
    rows.append(_SECTION.pack(15, _SHT_STRTAB, 0, 0, offset + len(entries), len(strings), 0, 0, 1, 0))
    start = offset + len(entries) + len(strings)
    rows.append(_SECTION.pack(23, _SHT_STRTAB, 0, 0, start, len(names), 0, 0, 1, 0))
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 2, arch.elf_machine, 1, 0, 0, table, 0, 64, 0, 0, 64, len(rows), len(rows) - 1),
    )
    return b"".join((head, bytes(entries), bytes(strings), names, *rows))


def _groups(symbols: Sequence[Symbol]) -> list[list[Symbol]]:
    """Symbols that lie together, in the order of their addresses."""
    groups: list[list[Symbol]] = []
    for symbol in symbols:
        if not groups or symbol.address - groups[-1][-1].address > _GAP:
            groups.append([])
        groups[-1].append(symbol)
    return groups
