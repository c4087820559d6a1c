"""The way of a guest to each moment, on a guest that is none: stops, registers and memory from a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from lab.arches import AMD64
from lab.debugging.debugger import Debugger, NoStopError, Point, Stop
from lab.debugging.remote import StubError
from lab.debugging.symbols import NoSymbolError, Symbol, Symbols
from lab.errors import LabError
from lab.races.schedule import Buffer, Schedule, Swap, Swapped
from lab.races.windows import Window

BUFFER = Buffer.path(0x2000, "/asked")
NEW = b"/other\0"
WRAPPER, BELL, OPENED = 0xF100, 0xF200, 0xF300
BACK, USER = 0xF400, 0x1234
SYMBOLS = Symbols(
    Symbol(address, name, "", "t")
    for name, address in {"__x64_sys_openat": WRAPPER, "__x64_sys_getpriority": BELL, "do_filp_open": OPENED}.items()
)
NAME, TEXT, REGS, STACK = 0x8000, 0x8100, 0x8200, 0x8800
MEMORY = {
    BUFFER.address: BUFFER.holds,
    NAME: TEXT.to_bytes(8, "little"),
    TEXT: BUFFER.holds,
    REGS + 128: USER.to_bytes(8, "little"),
    STACK: BACK.to_bytes(8, "little"),
}


def stopped(at: int, **changes: bytes | int) -> dict[str, bytes | int]:
    """A stop of the actor's: registers, and what of its memory is otherwise."""
    return {"rip": at, "rdi": REGS, "rsi": NAME, "rsp": STACK, **changes}


@dataclass
class Guest:
    """Comes to `stops` one after another, but only where there is a breakpoint."""

    stops: Sequence[dict[str, bytes | int]]
    symbols: Symbols = SYMBOLS
    places: set[int] = field(default_factory=set)
    seen: list[int] = field(default_factory=list)
    written: dict[int, bytes] = field(default_factory=dict)
    runs: bool = False
    now: dict[str, bytes | int] = field(default_factory=dict)

    def break_at(self, where: str | int) -> None:
        self.places.add(self.symbols.address(where) if isinstance(where, str) else where)

    def points(self) -> list[Point]:
        return [Point(place, "", hardware=False) for place in self.places]

    def clear(self, point: Point) -> None:
        self.places.remove(point.address)

    def go(self) -> None:
        self.runs = True

    def run_to(self, wanted: Callable[[Stop], bool], _: float) -> Stop:
        rest = iter(self.stops[len(self.seen) :])
        for self.now in rest:
            at = cast(int, self.now["rip"])
            self.seen.append(at)
            if at in self.places and wanted(Stop(1, at, self.symbols.at(at), breakpoint=True)):
                return Stop(1, at, self.symbols.at(at), breakpoint=True)
        raise NoStopError("it never came", hint="")

    def register(self, name: str) -> int:
        return cast(int, self.now[name])

    def argument(self, number: int) -> int:
        return self.register(("rdi", "rsi")[number])

    def memory(self, address: int, size: int) -> bytes:
        if address == BUFFER.address and "buffer" in self.now:
            return cast(bytes, self.now["buffer"])[:size]
        if address == TEXT and "text" in self.now:
            return cast(bytes, self.now["text"])[:size]
        if address not in MEMORY:
            raise StubError("E14")
        return MEMORY[address][:size]

    def write(self, address: int, data: bytes) -> None:
        if "gone" in self.now:
            raise StubError("E14")
        self.written[address] = data


def swapped(guest: Guest, at: Window) -> Swapped:
    schedule = Schedule(cast(Debugger, guest), AMD64, Swap("openat", BUFFER, NEW, at))
    schedule.prepare()
    return schedule.perform()


OTHERS = stopped(WRAPPER, buffer=b"/theirs")
OURS = stopped(WRAPPER)
WAYS = {
    Window.BEFORE_ENTRY: [stopped(BELL, buffer=b"/theirs"), stopped(BELL), OURS],
    Window.BEFORE_COPY: [OTHERS, OURS, stopped(OPENED)],
    # What prepares the call, another name of the call's, and a process that looks alike.
    Window.AFTER_COPY: [stopped(OPENED), OTHERS, OURS, stopped(OPENED, text=b"/script"), stopped(OPENED)],
    Window.AFTER_OPERATION: [OTHERS, OURS, stopped(BACK, rsp=0x9008), stopped(BACK, rsp=STACK + 8)],
    Window.AFTER_EXIT: [OTHERS, OURS, stopped(USER, buffer=b"/theirs"), stopped(USER)],
}


@pytest.mark.parametrize("at", Window)
def test_the_buffer_is_changed_at_the_moment_and_no_breakpoint_stays(at: Window) -> None:
    way = WAYS[at]
    guest = Guest([*way, stopped(0xF900)])
    done = swapped(guest, at)
    last = len(way) - (1 if at in (Window.BEFORE_ENTRY, Window.BEFORE_COPY) else 0)
    assert len(guest.seen) == last, "not sooner, and not later"
    assert guest.written == {BUFFER.address: NEW}
    assert (guest.places, guest.runs, done.cpu) == (set(), True, 1)
    assert done.passed == (1 if at in (Window.BEFORE_ENTRY, Window.BEFORE_COPY) else 2)


def test_the_place_is_told() -> None:
    assert swapped(Guest(WAYS[Window.BEFORE_COPY]), Window.BEFORE_COPY).where == "__x64_sys_openat"


def test_a_guest_that_never_comes_there_is_no_change() -> None:
    guest = Guest([OTHERS, OTHERS])
    with pytest.raises(NoStopError):
        swapped(guest, Window.BEFORE_COPY)
    assert guest.written == {}


def test_a_kernel_without_the_place_is_told_before_anything_is_waited_for() -> None:
    symbols = Symbols([Symbol(WRAPPER, "__x64_sys_openat", "", "t")])
    for at in (Window.AFTER_COPY, Window.BEFORE_ENTRY):
        guest = Guest([OURS], symbols)
        with pytest.raises(NoSymbolError):
            swapped(guest, at)
        assert guest.seen == []


def test_a_buffer_that_is_gone_is_told() -> None:
    with pytest.raises(LabError, match="cannot be written before-kernel-copy"):
        swapped(Guest([stopped(WRAPPER, gone=1)]), Window.BEFORE_COPY)
