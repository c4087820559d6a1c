"""Making a plain vmlinux one that QEMU starts, whatever the kernel was built with."""

from __future__ import annotations

import struct
from pathlib import Path

from lab.errors import UnsupportedError

_ENTRY = Path(__file__).parent / "pvh" / "entry.bin"
_BASE = 0x100000  # as in pvh/entry.S
_SCRATCH = 0x10000
_LOAD, _NOTE, _NULL = 1, 4, 0
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_PHYS32_ENTRY = 18  # of Xen's notes


def with_entry(kernel: bytes) -> bytes:
    """The kernel (an ELF file for amd64) with an entry by QEMU's protocol, which leads to the kernel's 64-bit one.

    Its own entry of that kind, if it has one, is not taken: before 5.0 it works on Xen only. UnsupportedError when the
    file is no whole kernel.
    """
    try:
        header = list(_HEADER.unpack_from(kernel))
        entry, table, size, count = header[4], header[5], header[9], header[10]
        programs = [list(_PROGRAM.unpack_from(kernel, table + size * number)) for number in range(count)]
    except struct.error as error:
        raise UnsupportedError("the kernel's vmlinux is damaged") from error
    loaded = [program for program in programs if program[0] == _LOAD]
    if size != _PROGRAM.size or not loaded or entry >= 1 << 32 or min(one[4] for one in loaded) < _BASE + _SCRATCH:
        raise UnsupportedError("the kernel's vmlinux is not laid out as one for amd64", hint="use its bzImage")
    for program in programs:
        program[0] = _NULL if program[0] == _NOTE else program[0]
    note = struct.pack("<III", 4, 8, _PHYS32_ENTRY) + b"Xen\0" + struct.pack("<Q", _BASE)
    code = _ENTRY.read_bytes()[:-8] + struct.pack("<Q", entry)
    start = len(kernel) + -len(kernel) % 4096
    programs.append([_LOAD, 7, start, _BASE, _BASE, len(code), _SCRATCH, 4096])
    programs.append([_NOTE, 4, start + len(code), 0, 0, len(note), len(note), 4])
    header[5], header[10] = start + len(code) + len(note), len(programs)
    return b"".join(
        (
            _HEADER.pack(*header),
            kernel[_HEADER.size :].ljust(start - _HEADER.size, b"\0"),
            *(code, note),
            *(_PROGRAM.pack(*program) for program in programs),
        )
    )
