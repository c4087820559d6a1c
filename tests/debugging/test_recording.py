"""What a recorded guest runs, what it says of itself, and where a replay of it is saved."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from lab.arches import AMD64, ARM64
from lab.debugging.kgdb import enter_kgdb, second_line
from lab.debugging.recording import Recording, guest_script, read_told
from lab.debugging.replay import snapshot_points
from lab.debugging.session import Told
from lab.debugging.symbols import Symbol, Symbols
from lab.errors import CommandTimeoutError, LabError
from lab.machines.machine import Machine

BASE = 0xFFFFFFFF81000000
KNOWN = Symbols(
    [
        Symbol(BASE, "_stext", "", "T"),
        Symbol(BASE + 0x100, "panic", "", "T"),
        Symbol(BASE + 0x200, "oops_enter", "", "T"),
        Symbol(0x1F000, "cpu_number", "", "A"),
        Symbol(0xFFFFFFFFC0000000, "init", "virtio_blk", "t"),
    ]
)
SAID = (
    b"[    1.0] boot\r\nlab: anchor ffffffff91000000\r\n"
    b"lab: section /sys/module/scap/sections/.text:0xffffffffc0100000\r\n"
    b"lab: section /sys/module/scap/sections/.data:0xffffffffc0200000\r\n"
    b"lab: symbol ffffffffc0100010 t syscall_exit_probe\r\n"
    b"lab: notes 0400aaff\r\nlab: command\r\n"
)


def test_the_kernels_symbols_are_moved_to_where_it_was() -> None:
    told = read_told(SAID, KNOWN, b"notes", "scap")
    assert told.symbols.address("panic") == 0xFFFFFFFF91000100
    assert told.symbols.address("cpu_number") == 0x1F000
    assert told.symbols.address("scap:syscall_exit_probe") == 0xFFFFFFFFC0100010
    assert told.symbols.named("init") == [], "another boot's module lies elsewhere"
    assert told.sections == {".text": 0xFFFFFFFFC0100000, ".data": 0xFFFFFFFFC0200000}
    assert (told.notes, told.module_notes) == (b"notes", b"\x04\x00\xaa\xff")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"lab: anchor \r\n",
        b"lab: anchor 12\r\n",
        b"xlab: anchor ffffffff91000000\r\n",
        b"lab: anchor zzzzzzzzzzzzzzzz",
        b"lab: command\r\nlab: anchor ffffffff91000000\r\n",
    ],
)
def test_a_guest_that_did_not_say_where_its_kernel_is_is_an_error(said: bytes) -> None:
    with pytest.raises(LabError, match="did not tell where its kernel is"):
        read_told(said, KNOWN, b"")


def test_what_is_no_symbol_or_section_and_what_the_command_prints_is_passed_by() -> None:
    odd = b"lab: symbol zz t x\r\nlab: section /etc/passwd\r\nlab: symbol ffffffffc0100020 t a b\r\n\xff\xfe\0\r\n"
    printed = b"lab: section /sys/module/scap/sections/.bss:0x1\r\nlab: symbol ffffffffc0100030 t evil\r\n"
    told = read_told(SAID.replace(b"lab: command", odd + b"lab: command") + printed, KNOWN, b"", "scap")
    assert told.sections == read_told(SAID, KNOWN, b"", "scap").sections
    assert [symbol.name for symbol in told.symbols.all() if symbol.module] == ["syscall_exit_probe"]


def test_the_command_is_run_with_exactly_its_words(tmp_path: Path) -> None:
    words = ["printf", "<%s>", "a b", "$HOME", "'", "$(reboot)", "{x}"]
    script = guest_script(None, words)
    line = script.partition('echo "lab: command"\n')[2].partition("\necho")[0]
    assert subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, cwd=tmp_path).stdout == (
        "<a b><$HOME><'><$(reboot)><{x}>"
    )


def test_the_guests_script_is_one_that_a_shell_can_read() -> None:
    subprocess.run(["sh", "-n"], input=guest_script(None, ["true"]).encode(), check=True)


def recording(symbols: Symbols) -> Recording:
    nothing = cast(Any, None)
    return Recording(nothing, nothing, nothing, nothing, Told(symbols, b"", b"", {}), 0, 0, True)


def test_a_crash_comes_through_the_functions_that_the_kernel_has_once() -> None:
    assert recording(KNOWN).crash_functions() == ("oops_enter", "panic")
    twice = Symbols([*KNOWN.all(), Symbol(BASE + 0x900, "oops_enter", "", "t")])
    assert recording(twice).crash_functions() == ("panic",)


def test_snapshots_lie_between_the_commands_beginning_and_the_end() -> None:
    points = snapshot_points(3_000_000_000, 3_100_000_000)
    assert points == [3_000_000_000, 3_025_000_000, 3_050_000_000, 3_075_000_000, 3_099_000_000]
    assert snapshot_points(3_000_000_000, 3_000_000_000) == [2_999_000_000]
    assert snapshot_points(10, 20) == []


def test_the_second_serial_line_is_the_one_behind_the_consoles() -> None:
    assert second_line(AMD64.console) == "ttyS1"
    assert second_line(ARM64.console) == "ttyAMA1"


class Console:
    """What was printed; `more` comes when somebody waits for it."""

    def __init__(self) -> None:
        self.said, self.more = b"boot\nEntering kdb long ago\n", b""

    def read(self) -> bytes:
        return self.said

    def wait_past(self, position: int, deadline: float) -> bytes:
        del deadline
        self.said, self.more = self.said + self.more, b""
        return self.said[position:]


class Guest:
    """As much of a machine as the kernel's debugger needs."""

    def __init__(self, more: bytes) -> None:
        self.console = Console()
        self.console.more = more
        self.commands: list[str] = []

        class Spec:
            arch = AMD64

        self.spec = Spec

    def run(self, argv: list[str]) -> None:
        self.commands.append(" ".join(argv[2:]))

    def scaled(self, seconds: float) -> float:
        return seconds / 50

    def check(self) -> None:
        pass


def test_the_kernel_is_in_its_debugger_when_it_says_so() -> None:
    guest = Guest(b"Entering kdb (current=0x1, pid 1) on processor 0 due to Keyboard Entry\n")
    enter_kgdb(cast(Machine, guest))
    assert "ttyS1,115200" in guest.commands[0]
    assert "echo g >/proc/sysrq-trigger" in guest.commands[1]


def test_a_kernel_that_does_not_enter_its_debugger_is_told() -> None:
    with pytest.raises(CommandTimeoutError, match="did not enter its debugger"):
        enter_kgdb(cast(Machine, Guest(b"")))
