"""A guest seen through its gdb stub, in a kernel's words: functions, arguments, user memory, stops with deadlines."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from lab.debugging.registers import Abi, abi_of
from lab.debugging.remote import Remote, StopReply, StubError
from lab.debugging.stacks import Backtrace, Method, backtrace
from lab.debugging.stub import open_stub
from lab.debugging.symbols import Symbols, read_symbols
from lab.errors import CommandTimeoutError, LabError
from lab.machines.machine import Machine

STOP_DEADLINE = 10.0  # on hardware
_TRAP = 5
_LONGEST_STRING = 4096


class NoStopError(CommandTimeoutError):
    """The guest did not come to where it was waited for."""


@dataclass(frozen=True)
class Stop:
    """The guest stands still: on `cpu`, whose program counter is `pc`, at `where` (as symbol+offset)."""

    cpu: int
    pc: int
    where: str
    breakpoint: bool


@dataclass(frozen=True)
class Point:
    """A breakpoint that was put in."""

    address: int
    name: str
    hardware: bool


class Debugger:
    """A guest being debugged; it stands still from the beginning, and runs on when the debugger is left."""

    def __init__(self, remote: Remote, machine: Machine, symbols: Symbols, *, frame_pointers: bool = False) -> None:
        self.remote = remote
        self.symbols = symbols
        self._machine = machine
        self._abi: Abi = abi_of(machine.spec.arch)
        self._points: dict[int, Point] = {}
        self._frame_pointers = frame_pointers
        self._given_up = threading.Event()
        self._cpu = remote.stopped.cpu if remote.stopped else 0
        self._told: tuple[int, int] | None = None  # the CPU and the breakpoint at which it was said to stand

    # Breakpoints and running

    def break_at(self, where: str | int, *, hardware: bool = False) -> Point:
        """Stop at a function (`name` or `module:name`) or an address.

        NoSymbolError when there is no such function, StubError when there cannot be a breakpoint.
        """
        address = self.symbols.address(where) if isinstance(where, str) else where
        point = Point(address, str(where) if isinstance(where, str) else self.symbols.at(where), hardware)
        if address not in self._points:
            with self._standing():
                self.remote.insert(address, self._abi.breakpoint_size, hardware=hardware)
            self._points[address] = point
        return point

    def points(self) -> list[Point]:
        """The breakpoints that are in."""
        return list(self._points.values())

    def clear(self, point: Point) -> None:
        """Take a breakpoint out; nothing happens when it is out already."""
        if self._points.pop(point.address, None):
            with self._standing():
                self.remote.remove(point.address, self._abi.breakpoint_size, hardware=point.hardware)

    def go(self) -> None:
        """Let the guest run. From a breakpoint that it was said to stand at it goes on behind it.

        Two CPUs may come to breakpoints at once, and one of them is told: the other one's stop is still to come.
        """
        if self.remote.stopped is None:
            return
        told, self._told = self._told, None
        if told is not None and told[1] in self._points:
            self.remote.select(told[0])
            if self.remote.register(self._abi.pc) == told[1]:
                self._step_over(told[0])
        self.remote.go()

    def wait(self, deadline: float = STOP_DEADLINE) -> Stop:
        """Wait until the guest stops (`deadline` in seconds on hardware); NoStopError when it does not."""
        seconds = self._machine.scaled(deadline)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # In pieces: a machine that dies is told at once.
            found = self.remote.wait(min(1.0, max(0.0, end - time.monotonic())))
            if found is not None:
                return self._stop(found)
            self._machine.check()
            if self._given_up.is_set():
                break
        names = ", ".join(point.name for point in self._points.values()) or "a stop"
        late = "when it was no longer waited for" if self._given_up.is_set() else f"within {seconds:.0f} s"
        raise NoStopError(f"the guest did not come to {names} {late}", hint="is it ever called?")

    def give_up(self) -> None:
        """Let who waits for a stop in another thread wait no longer: NoStopError there."""
        self._given_up.set()

    def run_to(self, wanted: Callable[[Stop], bool] = lambda _: True, deadline: float = STOP_DEADLINE) -> Stop:
        """Let the guest run until it stops where `wanted` holds; what it does not hold for is passed by.

        NoStopError when that does not happen within `deadline`, in seconds on hardware.
        """
        end = time.monotonic() + self._machine.scaled(deadline)
        passed = 0
        while True:
            self.go()
            left = (end - time.monotonic()) / self._machine.scaled(1.0)
            if left <= 0:
                what = f"none of {passed} stops was the one that was waited for"
                raise NoStopError(what, hint="the guest stands at the last of them")
            stop = self.wait(left)
            if wanted(stop):
                return stop
            passed += 1

    def interrupt(self) -> Stop:
        """Stop the guest wherever it is."""
        return self._stop(self.remote.interrupt())

    def step(self) -> Stop:
        """One instruction on the CPU that stopped, the others standing still."""
        return self._stop(self.remote.step(self._cpu))

    # What there is to see

    def register(self, name: str) -> int:
        """A register of the CPU that stopped."""
        self.remote.select(self._cpu)
        return self.remote.register(name)

    def registers(self) -> dict[str, int]:
        """All general registers of the CPU that stopped."""
        self.remote.select(self._cpu)
        return self.remote.general()

    def argument(self, number: int) -> int:
        """The function's argument, the first being 0; right only at its first instruction.

        A system call's own are elsewhere: `SYSCALL_DEFINE` functions get a pointer to the registers.
        """
        if not 0 <= number < len(self._abi.arguments):
            raise LabError(f"argument {number} is not in a register", hint=f"0 to {len(self._abi.arguments) - 1}")
        return self.register(self._abi.arguments[number])

    def memory(self, address: int, size: int) -> bytes:
        """Memory as the CPU that stopped sees it, the kernel's or the running program's; StubError when unmapped."""
        with self._reaching(address):
            return self.remote.read(address, size)

    def string(self, address: int, limit: int = _LONGEST_STRING) -> bytes:
        """The bytes up to the first zero, `limit` at most."""
        found = b""
        while len(found) < limit:
            # To the end of the page and not beyond it: the next one may not be mapped.
            count = min(256, limit - len(found), 4096 - (address + len(found)) % 4096)
            part = self.memory(address + len(found), count)
            if b"\0" in part:
                return found + part[: part.index(b"\0")]
            found += part
        return found

    def write(self, address: int, data: bytes) -> None:
        """Write memory as the CPU that stopped sees it; StubError when it is not mapped."""
        with self._reaching(address):
            self.remote.write(address, data)

    def backtraces(self) -> list[Backtrace]:
        """Every CPU's stack."""
        with self._standing():
            return [self._backtrace(cpu) for cpu in self.remote.cpus()]

    def backtrace(self) -> Backtrace:
        """The stack of the CPU that stopped."""
        return self._backtrace(self._cpu)

    def _backtrace(self, cpu: int) -> Backtrace:
        self.remote.select(cpu)
        method = Method.FRAME_POINTERS if self._frame_pointers else Method.SCAN
        return backtrace(self.remote, cpu, self._abi, self.symbols, method)

    def leave(self) -> None:
        """Take all breakpoints out and let the guest run on."""
        if self.remote.stopped is None:
            self.remote.interrupt()
        for point in self.points():
            self.clear(point)
        self.remote.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _stop(self, found: StopReply) -> Stop:
        self._cpu = found.cpu
        self.remote.select(found.cpu)
        pc = self.remote.register(self._abi.pc)
        stop = Stop(found.cpu, pc, self.symbols.at(pc), found.signal == _TRAP and pc in self._points)
        self._told = (found.cpu, pc) if stop.breakpoint else None
        return stop

    def _step_over(self, cpu: int) -> None:
        """Leave a breakpoint: under emulation a single step passes it, under KVM it has to be out for it."""
        at = self.remote.register(self._abi.pc)
        self.remote.step(cpu)
        self.remote.select(cpu)
        if self.remote.register(self._abi.pc) != at:
            return
        point = self._points[at]
        self.remote.remove(at, self._abi.breakpoint_size, hardware=point.hardware)
        self.remote.step(cpu)
        self.remote.insert(at, self._abi.breakpoint_size, hardware=point.hardware)

    @contextlib.contextmanager
    def _standing(self) -> Iterator[None]:
        """The guest standing still within the block, and running behind it when it ran before."""
        ran = self.remote.stopped is None
        if ran:
            self.remote.interrupt()
        yield
        if ran:
            self.go()

    @contextlib.contextmanager
    def _reaching(self, address: int) -> Iterator[None]:
        """Memory of the CPU that stopped within reach: kernels keep themselves from user memory, and the stub too."""
        self.remote.select(self._cpu)
        if self._abi.barrier is None or address >= self._abi.low_half:
            yield
            return
        name, bit, shuts = self._abi.barrier
        state = self.remote.register(name)
        opened = state & ~bit if shuts else state | bit
        if opened == state:
            yield
            return
        self.remote.set_register(name, opened)
        try:
            yield
        finally:
            self.remote.set_register(name, state)


@contextlib.contextmanager
def debugging(machine: Machine, symbols: Symbols | None = None, *, frame_pointers: bool = False) -> Iterator[Debugger]:
    """A debugger of a running machine for as long as the block lasts; behind it the guest runs on, without breakpoints.

    `symbols` are read from the guest when they are not given. LabError when it is being debugged already.
    """
    known = symbols or read_symbols(machine)
    with open_stub(machine) as path, Remote(path) as remote:
        debugger = Debugger(remote, machine, known, frame_pointers=frame_pointers)
        try:
            yield debugger
        finally:
            # A stub that is gone has taken its breakpoints with it.
            with contextlib.suppress(StubError):
                debugger.leave()
