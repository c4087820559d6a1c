"""Many forks of one template, one after the other and several at once, each of them used and ended."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import resume
from lab.machines.fork import Fork
from lab.machines.template import Template
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared
from lab.store import content_digest
from tests.support.traces import Traces, available_mib, one_arena, resident_mib, traces

WIDTH = 4  # forks at a time
_CAPTURES = 10  # one fork of so many captures events
_MEET = 120.0  # seconds for those of one round to come up
# What a library or Python itself takes once and keeps. A fork that leaked would be 100 MiB of the host's and some 0.1
# of ours; others on the host take and give as well.
_OWN_MIB = 8.0
_TRIES = 3
_HOSTS_MIB = 512.0


def make_soak(lab: Lab, cell: Cell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Soak:
    """Forks of that cell, all of whose files lie below `folder`."""
    one_arena()
    prepared = lab.prepare(cell)
    run_dir, temporary = folder / "machines", folder / "tmp"
    temporary.mkdir()
    # By which processes are known.
    monkeypatch.setenv("LAB_RUN_DIR", str(run_dir))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return Soak(lab, prepared, Forks(lab).template(prepared), run_dir, temporary)


@dataclass
class Soak:
    """Forks of `template`, whose machines lie in `run_dir`; `figures` is what was seen, in words."""

    lab: Lab
    prepared: Prepared
    template: Template
    run_dir: Path
    temporary: Path
    figures: list[str] = field(default_factory=list)

    def in_a_row(self, count: int) -> None:
        """So many forks, one after the other."""
        self._nothing_stays(f"{count} forks in a row", count, lambda: self._row(count))

    def at_once(self, rounds: int) -> None:
        """So many rounds of WIDTH forks that all run before the first of them is used."""
        # What so many captures need of this process at once stays with it: one round goes before, as one fork does.
        self._round(0)
        self._nothing_stays(f"{rounds} rounds of {WIDTH} at a time", rounds * WIDTH, lambda: self._rounds(rounds))

    def _row(self, count: int) -> None:
        for number in range(count):
            with self.fork() as fork:
                self._use(fork, number)

    def _rounds(self, rounds: int) -> None:
        for number in range(rounds):
            self._round(number)

    def _round(self, number: int) -> None:
        meeting = threading.Barrier(WIDTH, timeout=_MEET)
        places = [number * WIDTH + place for place in range(WIDTH)]
        with ThreadPoolExecutor(WIDTH) as pool:
            list(pool.map(self._meet, places, [meeting] * WIDTH))

    @contextmanager
    def fork(self) -> Iterator[Fork]:
        """One running fork."""
        spec, qemu = self.lab.spec(self.prepared), self.prepared.qemu
        with Fork(self.template, spec, qemu, self.run_dir, purpose="soak") as fork:
            fork.start()
            yield fork

    def traces(self) -> Traces:
        """What there is of these forks now."""
        return traces(self.run_dir, self.temporary)

    def _meet(self, number: int, meeting: threading.Barrier) -> None:
        try:
            with self.fork() as fork:
                meeting.wait()
                self._use(fork, number)
                meeting.wait()
                assert fork.run(["ls", "/work"]).text == f"of-{number}\n"
        except Exception:
            # The others shall not wait for this one.
            meeting.abort()
            raise

    def _use(self, fork: Fork, number: int) -> None:
        """Run something, write something that no other fork may see, and now and then have events captured."""
        assert fork.run(["echo", str(number)]).text == f"{number}\n"
        assert fork.run(["ls", "/work"]).text == ""
        if number % _CAPTURES or self.prepared.driver is None:
            fork.run(["dd", "if=/dev/urandom", f"of=/work/of-{number}", "bs=64k", "count=64", "status=none"])
            return
        events = Events(resume(fork, self.prepared.driver))
        with events.capture() as seen:
            fork.run(["touch", f"/work/of-{number}"])
        assert seen.all(type="openat", name=f"/work/of-{number}")

    def _nothing_stays(self, what: str, forks: int, work: Callable[[], None]) -> None:
        """Assert that the work leaves nothing on the host and nothing in this process, and the template as it was.

        What a process keeps once, it keeps once; what leaks does so each time. So where this process grew, the same is
        done again, and it is a failure when it grew every time.
        """
        # What is made once and kept (locks' files, imports, Python's arenas) is made now.
        with self.fork() as fork:
            self._use(fork, 0)
        before, free = self.traces(), available_mib()
        digest = content_digest(self.template.folder)
        grown = [self._growth(what, forks, work)]
        while grown[-1] >= _OWN_MIB and len(grown) < _TRIES:
            grown.append(self._growth(what, forks, work))
        assert self.traces() == before
        assert content_digest(self.template.folder) == digest, "the template was changed"
        assert grown[-1] < _OWN_MIB, f"{self.figures[-1]}; MiB more each time: {grown}"
        assert available_mib() > free - _HOSTS_MIB, self.figures[-1]

    def _growth(self, what: str, forks: int, work: Callable[[], None]) -> float:
        """MiB that this process has more after the work."""
        own, free, began = resident_mib(), available_mib(), time.monotonic()
        work()
        took, now_own, now_free = time.monotonic() - began, resident_mib(), available_mib()
        self.figures.append(
            f"{what} of {self.prepared.cell.slug}: {took:.0f} s, {took / forks:.2f} s each; this process "
            f"{own:.0f} -> {now_own:.0f} MiB, the host's available memory {free:.0f} -> {now_free:.0f} MiB"
        )
        return now_own - own
