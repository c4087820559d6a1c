"""What a guest tells of its kernel's memory, and what of that a module that is gone has left."""

from __future__ import annotations

import pytest

from lab.errors import LabError
from lab.survival.memory import MemoryOf, Orphan, Places, read_meminfo, read_orphans, read_places
from tests.survival.stubs import saying

MEMINFO = """MemTotal:         700000 kB
MemFree:          500000 kB
Buffers:            1000 kB
Cached:            99000 kB
Active(anon):        100 kB
AnonPages:         20000 kB
Slab:              30000 kB
SReclaimable:      10000 kB
SUnreclaim:        20000 kB
VmallocUsed:        9000 kB
HugePages_Total:       0
PageSize:        4 kB
Node 0, zone    DMA32
  pages free     125000
  pagesets
    cpu: 0
              count:    100
              high:     4000
    cpu: 1
              count:    400
"""
VMALLOC = """0xffffa5b600000000-0xffffa5b600005000   20480 irq_init_percpu_irqstack+0x114/0x1b0 vmap
0xffffa5b600075000-0xffffa5b600877000 8396800 0xffffffffc0a01234 pages=2049 vmalloc vpages N0=2049
0xffffa5b600975000-0xffffa5b600977000    8192 0xffffffffc0b01234 pages=1 vmalloc N0=1
0xffffa5b600985000-0xffffa5b600987000    8192 tap_slots_create+0x10/0x20 [tap] pages=1 vmalloc N0=1
"""


def test_the_kernels_memory_is_what_nobody_else_has() -> None:
    memory = read_meminfo(MEMINFO)
    assert memory.kernel == 700000 - 500000 - 1000 - 99000 - 20000 - 10000 - 500 * 4
    assert (memory.slab, memory.vmalloc) == (30000, 9000)
    assert str(memory) == "68000 KiB (slab 30000, vmalloc 9000)"


def test_a_guest_that_does_not_tell_is_an_error() -> None:
    with pytest.raises(LabError, match="does not tell Slab"):
        read_meminfo(MEMINFO.replace("Slab:", "Slob:"))


def test_what_is_given_back_later_is_waited_for() -> None:
    much = MEMINFO.replace("500000", "400000")
    assert MemoryOf(saying(much, "", much, "", MEMINFO)).at_most(70000).kernel == 68000
    now = MemoryOf(saying(much)).now()
    assert now.kernel == 168000


def test_an_orphan_is_what_was_taken_where_the_module_was() -> None:
    places = read_places("65536\n0xffffffffc0a00000\n0xffffffffc0c00000\n")
    assert places == Places(((0xFFFFFFFFC0A00000, 0xFFFFFFFFC0A10000), (0xFFFFFFFFC0C00000, 0xFFFFFFFFC0C10000)))
    assert read_orphans(VMALLOC, places) == (Orphan(8396800, 0xFFFFFFFFC0A01234),)
    assert str(read_orphans(VMALLOC, places)[0]) == "8396800 bytes of vmalloc taken at 0xffffffffc0a01234"


def test_what_another_module_took_is_none() -> None:
    assert read_orphans(VMALLOC, read_places("65536\n0xffffffffc0d00000\n")) == ()
    assert read_orphans(VMALLOC, Places()) == ()


def test_of_what_was_nowhere_a_guest_is_not_asked() -> None:
    assert MemoryOf(saying()).orphans(Places()) == ()


@pytest.mark.parametrize("text", ["", "65536\n", "much\n0xffffffffc0a00000\n", "65536\nhere\n"])
def test_a_module_that_is_not_there_is_nowhere(text: str) -> None:
    assert read_places(text) == Places()
