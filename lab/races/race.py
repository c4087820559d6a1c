"""A race whose winner is chosen: what a guest does meets a change of its memory at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.debugging.debugger import Debugger, debugging
from lab.debugging.symbols import Symbols
from lab.errors import LabError
from lab.machines.machine import Machine
from lab.races.schedule import DEADLINE, Buffer, Schedule, Swap, Swapped
from lab.races.windows import Window

_ATTACHED = 30.0  # seconds on hardware
_GRACE = 5.0  # seconds on hardware, for a change that is under way when the body has ended


class Race:
    """Races of one machine. `symbols` tells its kernel's addresses when they are first needed."""

    def __init__(self, machine: Machine, symbols: Callable[[], Symbols]) -> None:
        self._machine = machine
        self._symbols = symbols

    @contextmanager
    def swap(self, call: str, buffer: Buffer, new: bytes, *, at: str, compat: bool = False) -> Iterator[Swapped]:
        """While the block makes the system call `call`, change `buffer` to `new` at that moment (a `Window`).

        The block runs what makes the call and waits for it. Behind the block it has happened: LabError when the guest
        never came to the moment; NoSymbolError before the block when this kernel has no place for it.
        """
        done = Swapped()
        hand = _Hand(self._machine, self._symbols(), Swap(call, buffer, new, Window(at), compat))
        hand.begin()
        try:
            yield done
        except BaseException:
            hand.end(suppressed=True)
            raise
        vars(done).update(vars(hand.end()))


class _Hand:
    """The debugger in a thread of its own: the guest stands still there while its caller waits for it here."""

    def __init__(self, machine: Machine, symbols: Symbols, swap: Swap) -> None:
        self._machine = machine
        self._symbols = symbols
        self._swap = swap
        self._ready = threading.Event()
        self._debugger: Debugger | None = None
        self._done: Swapped | None = None
        self._error: LabError | None = None
        self._thread = threading.Thread(target=self._work, name="lab-race", daemon=True)

    def begin(self) -> None:
        """Attach and put the breakpoints in; raises what went wrong."""
        self._thread.start()
        if not self._ready.wait(self._machine.scaled(_ATTACHED)):
            raise LabError("the guest could not be stopped for a race", hint="is its QEMU still running?")
        if self._error is not None:
            raise self._error

    def end(self, *, suppressed: bool = False) -> Swapped:
        """Wait for the change; the body has ended, so it has happened or never will."""
        self._thread.join(self._machine.scaled(0.0 if suppressed else _GRACE))
        if self._thread.is_alive() and self._debugger is not None:
            self._debugger.give_up()
            self._thread.join(self._machine.scaled(DEADLINE))
        if suppressed:
            return Swapped()
        if self._error is not None:
            raise self._error
        if self._done is None:
            raise LabError(f"nothing was changed {self._swap.at} of {self._swap.call}", hint="was the call made?")
        return self._done

    def _work(self) -> None:
        try:
            with debugging(self._machine, self._symbols) as self._debugger:
                schedule = Schedule(self._debugger, self._machine.spec.arch, self._swap)
                schedule.prepare()
                self._ready.set()
                self._done = schedule.perform()
        except LabError as error:
            self._error = error
        finally:
            self._ready.set()
