"""A process's memory: what it has for itself, and what it only maps."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from lab.bench.memory import Memory, memory_of, read_memory

ROLLUP = """55c5e1c00000-7ffd0b5f2000 ---p 00000000 00:00 0                          [rollup]
Rss:              157044 kB
Pss:              157036 kB
Pss_Anon:          90632 kB
Shared_Clean:          8 kB
Private_Clean:     27548 kB
Private_Dirty:    129488 kB
Anonymous:         90624 kB
Swap:               1024 kB
SwapPss:            1024 kB
"""
SIZE = 8 << 20


def test_private_memory_is_anonymous_or_swapped_out() -> None:
    found = read_memory(ROLLUP)
    assert found == Memory(private=89.5, dirty=129488 / 1024, resident=157044 / 1024, proportional=157036 / 1024)


def test_a_text_without_its_lines_is_refused() -> None:
    with pytest.raises(KeyError, match="Anonymous"):
        read_memory("Rss: 4 kB\n")


def test_what_is_written_to_a_private_mapping_of_a_file_is_private_and_what_is_read_is_not(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(b"a" * SIZE)
    handle = os.open(file, os.O_RDONLY)
    with mmap.mmap(handle, SIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        os.close(handle)
        sum(mapped[offset] for offset in range(0, SIZE, mmap.PAGESIZE))
        read = memory_of(os.getpid())
        for offset in range(0, SIZE, mmap.PAGESIZE):
            mapped[offset] = 98
        written = memory_of(os.getpid())
    assert written.private - read.private > 7
    assert abs(written.resident - read.resident) < 1
