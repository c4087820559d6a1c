"""kdb over a console, which is a guest's: it may say anything, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from lab.arches import AMD64
from lab.debugging.kdb import Kdb, demand_kgdb
from lab.errors import CommandTimeoutError, LabError, MachineLostError, UnsupportedError

ENTERED = b"\r\nEntering kdb (current=0xffff888004a3c000, pid 112) on processor 0 due to Keyboard Entry\r\n[0]kdb> "
TASKS = (
    b"Task Addr               Pid   Parent [*] cpu State Thread             Command\r\n"
    b"0xffff8880048349c0      112        1  1    0   R  0xffff888004835300 *sh\r\n"
    b"0xffff888002a08000        1        0  0    1   S  0xffff888002a08940  init\r\n"
    b"0xffff888002a08000        x        0  0    1   S  made up\r\n"
)


class Console:
    """`answers` are what comes when a line was typed."""

    def __init__(self) -> None:
        self.said = b"boot messages, one of them [0]kdb> \r\n"
        self.answers: dict[bytes, bytes] = {b"set LINES 10000\r": b"set LINES 10000\r\n[0]kdb> "}
        self.typed: list[bytes] = []

    def read(self) -> bytes:
        return self.said

    def wait_past(self, position: int, _: float) -> bytes:
        return self.said[position:]

    def type(self, data: bytes) -> None:
        self.typed.append(data)
        self.said += self.answers.get(data, b"")


class Guest:
    """As much of a machine as kdb needs."""

    def __init__(self) -> None:
        self.console = Console()
        self.commands: list[str] = []
        self.check: Callable[[], None] = lambda: None

        class Spec:
            arch = AMD64

        self.spec = Spec

    def run(self, argv: list[str]) -> None:
        self.commands.append(argv[-1])
        if "trigger" in argv[-1]:
            self.console.said += ENTERED

    def scaled(self, seconds: float) -> float:
        return seconds / 50


class Kernel:
    """A kernel's configuration."""

    release = "6.12-lab"

    def __init__(self, *options: str) -> None:
        self.options = options

    def option(self, name: str) -> str | None:
        return "y" if name in self.options else None


FULL = Kernel("KGDB", "KGDB_SERIAL_CONSOLE", "KGDB_KDB")


@pytest.fixture
def guest() -> Guest:
    return Guest()


@pytest.fixture
def kdb(guest: Guest) -> Kdb:
    return Kdb(cast(Any, guest), cast(Any, FULL))


def test_it_is_entered_by_sysrq_on_the_guests_own_console(kdb: Kdb, guest: Guest) -> None:
    assert kdb.enter() == "Keyboard Entry"
    assert guest.commands[0].startswith("echo ttyS0 >/sys/module/kgdboc/parameters/kgdboc")
    assert kdb.inside


def test_tasks_are_read_and_lines_that_are_none_are_passed_over(kdb: Kdb, guest: Guest) -> None:
    kdb.enter()
    guest.console.answers[b"ps A\r"] = b"ps A\r\n" + TASKS + b"[0]kdb> "
    assert [(task.pid, task.comm, task.current) for task in kdb.tasks()] == [(112, "sh", True), (1, "init", False)]


def test_a_pager_is_answered(kdb: Kdb, guest: Guest) -> None:
    kdb.enter()
    guest.console.answers |= {b"dmesg\r": b"dmesg\r\none\r\nmore> ", b" ": b"\r\ntwo\r\n[0]kdb> "}
    assert kdb.command("dmesg").split() == ["one", "two"]


def test_a_command_without_an_end_is_given_up(kdb: Kdb, guest: Guest) -> None:
    kdb.enter()
    guest.console.answers[b"bt\r"] = b"bt\r\nand then"
    with pytest.raises(CommandTimeoutError, match="the end of 'bt' did not come on the console"):
        kdb.command("bt")


def test_a_guest_that_dies_in_it_is_lost(kdb: Kdb, guest: Guest) -> None:
    kdb.enter()

    def dead() -> None:
        raise MachineLostError("the machine died")

    guest.check = dead
    with pytest.raises(MachineLostError):
        kdb.command("bt")


def test_one_line_at_a_time_and_only_within(kdb: Kdb) -> None:
    with pytest.raises(LabError, match="is not in kdb"):
        kdb.command("bt")
    kdb.enter()
    with pytest.raises(LabError, match="one line"):
        kdb.command("bt\rgo")
    kdb.go()
    with pytest.raises(LabError, match="is not in kdb"):
        kdb.go()


def test_a_kernel_that_came_into_it_unasked_is_let_go(kdb: Kdb, guest: Guest) -> None:
    kdb.leave()
    assert guest.console.typed == []
    guest.console.said += ENTERED
    guest.console.answers[b"bc *\r"] = b"bc *\r\n[0]kdb> "
    kdb.leave()
    assert guest.console.typed == [b"bc *\r", b"go\r"]


@pytest.mark.parametrize("lost", ["KGDB", "KGDB_SERIAL_CONSOLE", "KGDB_KDB"])
def test_a_kernel_without_it_is_unsupported_and_one_with_it_is_named(lost: str) -> None:
    kernel = Kernel(*(name for name in FULL.options if name != lost))
    with pytest.raises(UnsupportedError, match=rf"lacks CONFIG_{lost}; build:6\.12\+kgdb has it"):
        demand_kgdb(cast(Any, kernel))


def test_an_oops_that_has_more_lines_than_a_screen_is_paged_through(kdb: Kdb, guest: Guest) -> None:
    guest.console.said += b"\r\nEntering kdb (current=0xffff888002b75880, pid 93) on processor 0 Oops: (null)\r\nmore> "
    guest.console.answers[b" "] = b"\r\n  </TASK>\r\n[0]kdb> "
    assert kdb.wait() == "Oops: (null)"
    assert kdb.inside
    # After an oops it asks whether one really means it.
    guest.console.answers[b"go\r"] = b"go\r\nkdb_continue_catastrophic=0, type go a second time\r\n[0]kdb> "
    kdb.go()
    assert guest.console.typed[-2:] == [b"go\r", b"go\r"]


def test_what_left_the_kernel_in_the_pager_is_left(kdb: Kdb, guest: Guest) -> None:
    guest.console.said += b"\r\nOops\r\nmore> "
    guest.console.answers |= {b"q": b"\r\n[0]kdb> ", b"bc *\r": b"bc *\r\n[0]kdb> "}
    kdb.leave()
    assert guest.console.typed[-2:] == [b"bc *\r", b"go\r"]
