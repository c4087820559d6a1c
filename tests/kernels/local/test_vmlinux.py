"""A plain vmlinux gets an entry that QEMU starts, and nothing else of it changes."""

from __future__ import annotations

import struct

import pytest

from lab.errors import UnsupportedError
from lab.kernels.local.vmlinux import with_entry
from tests.support.bootfiles import vmlinux


def programs(elf: bytes) -> list[tuple[int, ...]]:
    """The program headers: type, flags, offset, virtual and physical address, sizes in file and memory, alignment."""
    (table,), (count,) = struct.unpack_from("<Q", elf, 32), struct.unpack_from("<H", elf, 56)
    return [struct.unpack_from("<IIQQQQQQ", elf, table + 56 * number) for number in range(count)]


def test_the_only_entry_that_qemu_finds_leads_to_the_kernels_own() -> None:
    kernel = vmlinux("4.14.35-lab", loaded_at=0x1000000)
    made = with_entry(kernel)
    notes = [header for header in programs(made) if header[0] == 4]
    assert len(notes) == 1, "the kernel's own note is still looked at"
    note = made[notes[0][2] :][: notes[0][5]]
    assert note == struct.pack("<III", 4, 8, 18) + b"Xen\0" + struct.pack("<Q", 0x100000)
    entry = next(header for header in programs(made) if header[4] == 0x100000 and header[0] == 1)
    assert made[entry[2] :][: entry[5]].endswith(struct.pack("<Q", 0x1000000))
    assert made[entry[2] :][:2] == b"\xfa\xfc", "cli, cld"


def test_the_kernel_itself_stays_as_it_was() -> None:
    kernel = vmlinux("4.14.35-lab")
    made = with_entry(kernel)
    assert made[64 : len(kernel)] == kernel[64:]
    assert [header for header in programs(kernel) if header[0] == 1] == [
        header for header in programs(made) if header[0] == 1 and header[4] != 0x100000
    ]


@pytest.mark.parametrize(
    "kernel", [b"", vmlinux("4.14.35-lab")[:100], vmlinux("4.14.35-lab", loaded_at=0x100000), vmlinux("4.14")[:170]]
)
def test_what_is_no_whole_kernel_is_refused(kernel: bytes) -> None:
    with pytest.raises(UnsupportedError):
        with_entry(kernel)
