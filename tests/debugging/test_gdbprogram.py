"""What gdb is told, and how one is had."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import settings
from lab.arches import AMD64
from lab.debugging.debuginfo import DebugInfo
from lab.debugging.gdbprogram import Layout, named_gdb, own_gdb, script
from lab.errors import HostError
from lab.store import Store

STUB = Path("/run/lab/0/lab-gdb-1.sock")


def test_symbols_are_loaded_where_the_kernel_and_the_module_are() -> None:
    info = DebugInfo(Path('/store/vm"linux'), None)
    layout = Layout(0x9800000, [(Path("/store/debug.ko"), {".text": 0x1000, ".data": 0x2000, ".other": 1})], None)
    lines = script(STUB, info, layout, [0xFFFF], go="continue").splitlines()
    assert 'symbol-file "/store/vm\\"linux" -o 0x9800000' in lines
    assert 'add-symbol-file "/store/debug.ko" -s .text 0x1000 -s .data 0x2000' in lines
    assert lines.index(f"target remote {STUB}") < lines.index("hbreak *0xffff") < lines.index("continue")


def test_without_debug_information_bare_names_are_loaded() -> None:
    lines = script(STUB, None, Layout(0, [], Path("/m/names.elf")), [], go="").splitlines()
    assert 'symbol-file "/m/names.elf"' in lines
    assert "continue" not in lines


def test_breakpoints_are_in_the_kernels_text_where_its_own_debugger_sets_them() -> None:
    lines = script(STUB, None, Layout(0, [], None), [0xFFFF], go="", kgdb=AMD64).splitlines()
    assert "break *0xffff" in lines
    assert lines.index("set architecture i386:x86-64") < lines.index(f"target remote {STUB}")
    assert "hbreak *0xffff" not in lines


def test_a_gdb_that_cannot_be_had_is_told_with_what_mends_it(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no-such-gdb is not installed") as caught:
        named_gdb("no-such-gdb")
    assert caught.value.hint == "apt-get install gdb-multiarch"
    chosen = settings.load({"LAB_STORE": str(tmp_path), "LAB_OFFLINE": "1"})
    with pytest.raises(HostError, match="the lab's own cannot be fetched") as caught:
        own_gdb(Store(tmp_path), chosen, lambda _: None)
    assert caught.value.exit_code == 3
