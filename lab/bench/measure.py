"""The measurements: a fork, a boot to the same point, the saving of a template, and another tool's guest, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.bench.host import HostLoad, Load, between, moment, speed, watch
from lab.bench.memory import Memory, memory_of
from lab.bench.virtme import VirtmeGuest
from lab.drivers.capture import Events
from lab.drivers.deploy import deploy
from lab.machines import template as templates
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared
from lab.store import remove_tree

_TRUE = ["true"]


class Laps:
    """Names what passed since the lap before, in seconds; `total` is all since the beginning, without what was left
    out."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, name: str) -> None:
        """What has passed since the last lap is this one's."""
        now = time.monotonic()
        self.times[name] = now - self._last
        self._last = now

    def leave_out(self) -> None:
        """What has passed since the last lap is nobody's."""
        self._last = time.monotonic()

    @property
    def total(self) -> float:
        return sum(self.times.values())


class _TimedFork(Fork):
    """A fork that tells how far it is on its way: QEMU there, state restored, its agent's answer, an identity."""

    def __init__(self, laps: Laps, *args: Any, **more: Any) -> None:
        self._laps = laps
        super().__init__(*args, **more)

    def memory(self) -> Memory:
        """Its QEMU's memory now."""
        assert self._process is not None, "not started"  # noqa: S101 - a caller's mistake
        return memory_of(self._process.pid)

    def _spawn(self) -> None:
        super()._spawn()
        self._laps.end("qemu")

    def _wait_ready(self, deadline: float) -> None:
        self._laps.end("restore")
        super()._wait_ready(deadline)
        self._laps.end("greeting")

    def _renew(self, name: str) -> None:
        super()._renew(name)
        self._laps.end("identity")


@dataclass
class Samples:
    """What was measured, by what it is of, in the order in which it was; `failed` are guests of the other tool's that
    did not run, and were run again."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def add(self, of: str, value: float) -> None:
        self.taken.setdefault(of, []).append(value)

    def last(self, of: str) -> float:
        return self.taken[of][-1]


class Bench:
    """Measurements of one cell, which has a driver, on `rival`'s too where there is one. `scratch` is a folder on the
    store's disk. `tell` is told how far it is."""

    def __init__(
        self, lab: Lab, prepared: Prepared, scratch: Path, rival: VirtmeGuest | None, tell: Callable[[str], None]
    ) -> None:
        self._lab = lab
        self._prepared = prepared
        self._scratch = scratch
        self._rival = rival
        self._tell = tell
        self._template = Forks(lab).template(prepared)
        self.samples = Samples()

    def run(self, repeat: int) -> HostLoad:
        """Measure each thing `repeat` times, one after the other in each round, so that whatever else happens on the
        machine meets all alike; returns what did. The measurements are in `samples`."""
        # The first fork of a run reads files that the next find in memory. It counts for nothing.
        self._fork(Samples())
        average, mhz = _averages(), speed(_cpuinfo())
        before, start = watch(), moment()
        rounds = []
        for number in range(1, repeat + 1):
            rounds.append(self._round())
            self._tell(f"{number} of {repeat}: {self._in_short()}")
        during = between(start, moment())
        return HostLoad(before, during, tuple(rounds), (average, _averages()), (mhz, speed(_cpuinfo())))

    def _round(self) -> Load:
        start = moment()
        self._fork(self.samples)
        self._boot(self.samples)
        self._save(self.samples)
        if self._rival is not None:
            self.samples.add("virtme", self._rival.run(_TRUE, self.samples.failed.append))
        return between(start, moment())

    def _in_short(self) -> str:
        names = ["fork", "boot", "save", *(["virtme"] if self._rival else [])]
        return ", ".join(f"{name} {self.samples.last(name):.2f} s" for name in names)

    def _fork(self, samples: Samples) -> None:
        laps = Laps()
        spec, run_dir = self._lab.spec(self._prepared), self._lab.settings.run_dir
        with _TimedFork(laps, self._template, spec, self._prepared.qemu, run_dir, purpose="bench") as fork:
            fork.start()
            fork.run(_TRUE)
            laps.end("command")
            samples.add("fork", laps.total)
            fork.run(_TRUE)
            laps.end("next")
            for name, size in asdict(fork.memory()).items():
                samples.add(f"memory.{name}", size)
            laps.leave_out()
            with Events(self._lab.deploy(fork, self._prepared)).capture():
                pass
            laps.end("capture")
        laps.end("end")
        for name, seconds in laps.times.items():
            samples.add(f"fork.{name}", seconds)

    def _boot(self, samples: Samples) -> None:
        laps = Laps()
        with self._lab.machine(self._prepared, "bench") as machine:
            machine.start()
            laps.end("ready")
            self._deploy(machine, laps)
            machine.run(_TRUE)
            laps.end("command")
            samples.add("boot", laps.total)
        for name, seconds in laps.times.items():
            samples.add(f"boot.{name}", seconds)

    def _save(self, samples: Samples) -> None:
        """Save a machine as templates are made. Its boot is slower than others: its memory is written to disk."""
        with self._folder() as folder:
            laps = Laps()
            spec = templates.savable(self._lab.spec(self._prepared), folder)
            with self._lab.machine(self._prepared, "bench", spec) as machine:
                machine.start(anonymous=True)
                self._deploy(machine, laps)
                templates.save(machine, folder)
                laps.end("save")
            samples.add("save", laps.times["save"])
            samples.add("template", laps.total)

    def _deploy(self, machine: Machine, laps: Laps) -> None:
        driver = self._prepared.driver
        assert driver is not None, "the cell has no driver"  # noqa: S101 - a caller's mistake
        deployment = deploy(machine, driver)
        laps.end("driver")
        Events(deployment).begin()
        laps.end("consumer")

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = self._scratch / "template"
        folder.mkdir()
        try:
            yield folder
        finally:
            # At once, so that the disk is not busy with it while the next thing is measured.
            remove_tree(folder)


def _averages() -> tuple[float, float, float]:
    one, five, fifteen = (float(word) for word in Path("/proc/loadavg").read_text().split()[:3])
    return one, five, fifteen


def _cpuinfo() -> str:
    return Path("/proc/cpuinfo").read_text(errors="replace")
