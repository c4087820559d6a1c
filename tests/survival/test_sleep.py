"""A guest's sleep is judged by its console: it can neither be asked nor tell meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab import arches
from lab.errors import MachineLostError
from lab.machines.machine import Machine
from lab.machines.result import Result
from lab.survival.sleep import slept

SLEEPS, WAKES = b"printk: Suspending console(s)\n", b"PM: suspend exit\n"
OVER, CUT_OFF = b"lab: the sleep is over\n", b"lab: the host is cut off\n"


class Console:
    """Prints a line more each time that somebody waits for one."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = list(lines)
        self._printed = b"PM: suspend exit, of another time\n"

    def read(self) -> bytes:
        return self._printed

    def wait_past(self, _: int, __: float) -> None:
        if self._lines:
            self._printed += self._lines.pop(0)


class Guest:
    """A machine with that console; `said` is what the guest wrote down, `told` what QEMU was."""

    def __init__(self, console: Console, said: str = "slept 1\n", arch: arches.Arch = arches.AMD64) -> None:
        self.console = console
        self.spec = SimpleNamespace(arch=arch)
        self.monitor = SimpleNamespace(execute=lambda _, words: self.told.append(words["command-line"]))
        self.told: list[str] = []
        self.asked: list[Sequence[str]] = []
        self.dead = False
        self._said = said

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        self.asked.append(argv)
        if argv[0] == "true":
            raise MachineLostError("the lab's agent in the guest was killed")
        return Result(tuple(argv), 0, self._said.encode(), b"")

    def alive(self) -> bool:
        return not self.dead

    def scaled(self, seconds: float) -> float:
        return seconds / 100


def sleep(guest: Guest, how: str = "deep") -> str:
    return slept(cast(Machine, guest), how)


def test_a_guest_that_slept_is_woken_once_it_does_and_asked_when_all_is_over() -> None:
    guest = Guest(Console(SLEEPS, WAKES, OVER))
    assert sleep(guest) == "slept 1"
    assert guest.told == ["system_wakeup"]
    assert [argv[0] for argv in guest.asked] == ["setsid", "cat"]
    # What it waits for is what the guest is told to say.
    assert {OVER.decode().strip(), CUT_OFF.decode().strip()} <= set(guest.asked[0])


def test_a_guest_that_cannot_sleep_is_not_waited_for() -> None:
    guest = Guest(Console(OVER), "it knows [s2idle]\n")
    assert sleep(guest) == "it knows [s2idle]"
    assert guest.told == []


def test_a_guest_whose_console_device_stays_closed_is_no_lost_machine() -> None:
    guest = Guest(Console(SLEEPS, WAKES, CUT_OFF, OVER))
    assert "stays closed" in sleep(guest)
    assert guest.asked[-1] == ["true"]


def test_a_guest_that_sleeps_on_is_told_to_wake_until_the_deadline() -> None:
    guest = Guest(Console(SLEEPS), "")
    assert sleep(guest) == ""
    assert len(guest.told) > 1


@pytest.mark.parametrize(("how", "arch"), [("s2idle", arches.AMD64), ("deep", arches.ARM64)])
def test_where_nothing_wakes_it_a_guest_is_not_sent_to_sleep(how: str, arch: arches.Arch) -> None:
    guest = Guest(Console(), arch=arch)
    assert "nothing wakes" in sleep(guest, how)
    assert guest.asked == []
