"""A race whose winner is chosen: what a guest does meets a change of its memory at one moment."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.debugging.debugger import Debugger, debugging
from lab.debugging.symbols import Symbols
from lab.errors import LabError
from lab.images.recipe import RECIPES
from lab.machines.machine import PAYLOAD, Machine
from lab.races.schedule import DEADLINE, Buffer, Schedule, Swap, Swapped
from lab.races.subjects import subject
from lab.races.windows import Window

_ATTACHED = 30.0  # seconds on hardware
_GRACE = 5.0  # seconds on hardware, for a change that is under way when the body has ended
SOURCE = RECIPES / "programs" / "lab-race.c"
_PROGRAM = f"{PAYLOAD}/bin/lab-race"


@dataclass(frozen=True)
class Made:
    """A call of lab-race's with its argument changed on the way. `acted`: the object that the kernel acted on ("asked",
    "other", "neither" or "both"), as lab-race found out; `where` the guest stood then; `seconds` from the debugger's
    attaching to the call's end."""

    name: str
    window: Window
    pid: int
    result: int
    acted: str
    where: str
    seconds: float


class Race:
    """Races of one machine. `symbols` tells its kernel's addresses, `program` lab-race, when they are first needed."""

    def __init__(self, machine: Machine, symbols: Callable[[], Symbols], program: Callable[[], bytes]) -> None:
        self._machine = machine
        self._symbols = symbols
        self._program = program
        self._ready = False

    def call(self, name: str, *, at: str) -> Made:
        """Make one of the calls in `subjects` and change its argument at that moment; raises as `swap` does."""
        wanted = subject(name)
        self._bring()
        begun = time.monotonic()
        with self.swap(wanted.call, wanted.buffer, wanted.new, at=at) as swapped:
            ran = self._machine.run([_PROGRAM, name])
        did = told(ran.stdout)
        took = time.monotonic() - begun
        return Made(name, Window(at), did["pid"], did["result"], did["acted"], swapped.where, took)

    def _bring(self) -> None:
        """What is done once: lab-race into the guest, and its kernel's symbols out of it."""
        if self._ready:
            return
        self._symbols()
        self._machine.install(_PROGRAM, self._program())
        self._ready = True

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


def told(printed: bytes) -> dict[str, Any]:
    """What lab-race printed; LabError when it is not that."""
    try:
        found = json.loads(printed)
        if not (isinstance(found["pid"], int) and isinstance(found["result"], int) and isinstance(found["acted"], str)):
            raise TypeError("of another type")
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(f"lab-race printed {printed[:100]!r}", hint=f"look at {SOURCE.name}") from error
    return {name: found[name] for name in ("pid", "result", "acted")}


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
