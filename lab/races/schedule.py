"""One change at one moment: the guest is stopped there, the user's buffer is written from outside, the guest goes on.

The same every time: nothing depends on which thread is quicker. It works on every kernel with kallsyms, under
emulation on every architecture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.arches import Arch
from lab.debugging.debugger import Debugger, Stop
from lab.debugging.registers import abi_of
from lab.debugging.remote import StubError
from lab.errors import LabError
from lab.races.windows import BELL, USER_PC, Copy, Window, copies, wrapper

DEADLINE = 10.0  # seconds on hardware until the guest comes to the moment


@dataclass(frozen=True)
class Buffer:
    """A user's buffer that a call is given: its address in the actor, and its bytes before the change."""

    address: int
    holds: bytes

    @classmethod
    def path(cls, address: int, name: str) -> Buffer:
        """A path, with the zero that ends it."""
        return cls(address, name.encode() + b"\0")


@dataclass(frozen=True)
class Swap:
    """What shall be changed to what (`new` may be longer, where the buffer has room), in which call, and when."""

    call: str
    buffer: Buffer
    new: bytes
    at: Window
    compat: bool = False


@dataclass
class Swapped:
    """What came of it. Empty until the guest came to the moment."""

    where: str = ""  # the function, with an offset
    cpu: int = -1
    passed: int = 0  # stops at the same places that were somebody else's


class Schedule:
    """Carries a change out. `prepare` puts the first breakpoints in; `perform` waits, changes and takes them out."""

    def __init__(self, debugger: Debugger, arch: Arch, swap: Swap) -> None:
        self._debugger = debugger
        self._arch = arch
        self._abi = abi_of(arch)
        self._swap = swap
        self._passed = 0

    def prepare(self) -> None:
        """Stop where the way to the moment begins; the guest stands still. NoSymbolError without such a place."""
        self._debugger.break_at(self._first_place())

    def perform(self) -> Swapped:
        """Let the guest run to the moment, change the buffer, and let it run on without breakpoints.

        NoStopError when it does not come there.
        """
        stop = self._reach()
        self._write()
        for point in self._debugger.points():
            self._debugger.clear(point)
        self._debugger.go()
        return Swapped(stop.where or "in user space", stop.cpu, self._passed)

    def _first_place(self) -> str:
        symbols, swap = self._debugger.symbols, self._swap
        if swap.at is Window.AFTER_COPY:
            copies(swap.call, symbols)
        call = BELL if swap.at is Window.BEFORE_ENTRY else swap.call
        return wrapper(call, self._arch, symbols, compat=swap.compat)

    def _reach(self) -> Stop:
        match self._swap.at:
            case Window.BEFORE_ENTRY | Window.BEFORE_COPY:
                return self._run_to(self._is_ours)
            case Window.AFTER_COPY:
                # In the call, and not before it: what prepares it may have the kernel copy the same.
                self._run_to(self._is_ours)
                self._move_to(*copies(self._swap.call, self._debugger.symbols))
                return self._run_to(lambda: self._is_ours() and self._is_copied())
            case Window.AFTER_OPERATION:
                self._run_to(self._is_ours)
                return self._run_to_return()
            case Window.AFTER_EXIT:
                self._run_to(self._is_ours)
                return self._run_to_user()

    def _run_to(self, wanted: Callable[[], bool]) -> Stop:
        def counted(_: Stop) -> bool:
            found = wanted()
            self._passed += not found
            return found

        return self._debugger.run_to(counted, DEADLINE)

    def _run_to_return(self) -> Stop:
        """To the instruction behind the call of the wrapper, on the same kernel stack."""
        stack = self._debugger.register(self._abi.sp)
        if self._abi.link:
            back = self._abi.plain(self._debugger.register(self._abi.link))
        else:
            back, stack = self._word(stack), stack + 8
        self._move_to(back)
        return self._run_to(lambda: self._debugger.register(self._abi.sp) == stack)

    def _run_to_user(self) -> Stop:
        """To the caller's instruction behind its system call."""
        self._move_to(self._word(self._debugger.argument(0) + USER_PC[self._arch.name]))
        return self._run_to(self._is_ours)

    def _move_to(self, *places: int | str) -> None:
        for point in self._debugger.points():
            self._debugger.clear(point)
        for place in places:
            self._debugger.break_at(place)

    def _is_ours(self) -> bool:
        """Is it the actor that stopped? Its buffer is mapped there and holds what it put into it."""
        buffer = self._swap.buffer
        return self._peek(buffer.address, len(buffer.holds)) == buffer.holds

    def _is_copied(self) -> bool:
        """Does the function that the guest stopped in act on a copy of the buffer?"""
        at = self._debugger.register(self._abi.pc)
        found = copies(self._swap.call, self._debugger.symbols)
        names = [name for name in found if self._debugger.symbols.address(name) == at]
        return bool(names) and self._copy(found[names[0]]) == self._swap.buffer.holds

    def _copy(self, copy: Copy) -> bytes | None:
        """The kernel's copy, as many bytes as the buffer has; None when it cannot be read."""
        address = self._debugger.argument(copy.argument)
        try:
            if copy.holds in ("name", "message"):
                # The first member of both structs is the pointer.
                address = self._word(address)
        except StubError:
            return None
        return self._peek(address, len(self._swap.buffer.holds))

    def _peek(self, address: int, size: int) -> bytes | None:
        try:
            return self._debugger.memory(address, size)
        except StubError:
            return None

    def _word(self, address: int) -> int:
        return int.from_bytes(self._debugger.memory(address, 8), "little")

    def _write(self) -> None:
        try:
            self._debugger.write(self._swap.buffer.address, self._swap.new)
        except StubError as error:
            raise LabError(
                f"the buffer at {self._swap.buffer.address:#x} cannot be written {self._swap.at}: {error}",
                hint="is it still mapped then? A successful execve has another memory",
            ) from error
