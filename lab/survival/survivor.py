"""What must hold of a driver whatever it went through: it reports, the kernel has nothing to say, and taken out it
leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.drivers.capture import Capture, Events
from lab.drivers.deploy import Deployment
from lab.errors import ConsumerError, LabError, LoadError
from lab.evidence.bpftool import Bpftool
from lab.machines.machine import Machine
from lab.survival.memory import Memory, MemoryOf

if TYPE_CHECKING:
    from lab.plugin.evidence_fixtures import PrintkFixture
    from lab.scenario import Control

# What is looked for in a driver's reports when it is asked whether it still does.
READ = {"type": "openat", "comm": "cat", "name": "/etc/hostname"}
# In KiB. What comes and goes of itself was less than half of this in a hundred idle guests.
SLACK = 4096


@dataclass(frozen=True)
class Survivor:
    """The `survives` fixture: `with survives(): ...` demands all of it at the block's end."""

    machine: Machine
    driver: Deployment
    events: Events
    bpftool: Bpftool
    memory: MemoryOf
    printk: PrintkFixture

    @contextmanager
    def __call__(self, how: str = "", *, slack: int = SLACK) -> Iterator[None]:
        """What must hold holds behind the block. `how` (a seed, say) is told with a failure, `slack` (KiB) is what the
        kernel may hold more behind it than before it."""
        before = self.memory.now()
        with _told(how):
            yield
            self.demand_reports()
            self.demand_silence()
            # Still loaded: taken out, it gives back more than it may have leaked. A driver whose consumer loads it and
            # counts at its end alone is out already.
            self._demand_memory(before, slack)
            self.take_out()
            self.demand_gone()
            self._demand_memory(before, slack)

    def take_out(self) -> None:
        """Unload the driver; it gives back what it took of vmalloc. Time after time so, one that leaks is seen before
        the guest dies of it."""
        places = self.memory.places(self.driver.mode.module)
        self.driver.unload()
        left = self.memory.orphans(places)
        assert not left, f"memory left behind: {', '.join(map(str, left))}"  # noqa: S101 - as a scenario's

    def _demand_memory(self, before: Memory, slack: int) -> None:
        after = self.memory.at_most(before.kernel + slack)
        grown = after.kernel - before.kernel
        assert grown <= slack, f"memory left behind: {grown} KiB more than before; {before}, then {after}"  # noqa: S101

    def demand_reports(self) -> None:
        """The driver reports an open as it is. A consumer that ended or fell silent is the driver's failure here."""
        try:
            seen = self._read()
            if self.driver.consumer.counters == "at-end" and seen.counters and seen.counters.drops:
                # Those are its reader's of all its life, in which the driver may have had too much to do.
                seen = self._read()
        except ConsumerError as error:
            raise AssertionError(f"it no longer reports: {error.what}") from error
        opened = seen.one(**READ)
        assert opened.result is not None, "the result of an open is not told"  # noqa: S101
        assert opened.result >= 0, f"result {opened.result} of an open that succeeded"  # noqa: S101

    def _read(self) -> Capture:
        with self.events.capture() as seen:
            self.machine.run(["cat", "/etc/hostname"])
        return seen

    def demand_silence(self) -> None:
        """The kernel has not complained."""
        splats = self.printk.splats()
        assert not splats, "the kernel complained: " + "; ".join("\n".join(splat.lines[:20]) for splat in splats)  # noqa: S101

    def demand_gone(self) -> None:
        """Taken out, the driver is no more in the kernel, nor is a program or map of it."""
        loaded = self.driver.loaded()
        assert not loaded, "taken out, it is still loaded"  # noqa: S101
        left = self.bpftool.left_behind()
        assert not left, f"left in the kernel: {left}"  # noqa: S101

    def demand_loads(self, where: str) -> None:
        """It loads and reports. What keeps it from that is the driver's failure here, not the lab's error."""
        try:
            self.driver.load()
            self.events.begin()
        except (LoadError, ConsumerError) as error:
            raise AssertionError(f"it does not load {where}: {error.what}") from error


@contextmanager
def _told(how: str) -> Iterator[None]:
    """Say `how` with whatever fails in the block."""
    try:
        yield
    except AssertionError as error:
        if not how:
            raise
        raise AssertionError(f"{error}\n{how}") from error
    except LabError as error:
        error.hint = "; ".join(word for word in (error.hint, how) if word)
        raise


def survived() -> tuple[Control, ...]:
    """The controls of whatever `survives` demands."""
    from lab.scenario import altered, answered, logged, missing  # noqa: PLC0415 - scenario imports evidence

    return (
        altered("name", **READ),
        altered("result", **READ),
        missing(**READ),
        logged("WARNING: CPU: 0 PID: 1 at lib/fake.c:1 fake+0x0/0x10"),
        answered("driver.loaded", True, word="still loaded"),
        answered("bpftool.left_behind", "a program", word="a program"),
        answered("memory.orphans", ("8388608 bytes of vmalloc",), word="8388608 bytes of vmalloc"),
        answered("memory.at_most", Memory(1 << 30, 0, 0), word="KiB more than before"),
    )
