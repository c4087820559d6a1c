"""Runs that lose a process to kill -9 at a random moment, and the runs after them."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.arches import host
from lab.inventory import LEFTOVER
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from lab.matrix.runs import RESULTS
from lab.matrix.verdict import Verdict
from lab.plugin.controller import STILLBORN
from tests.support import shelves, traces
from tests.support.runs import LAB, Place, until
from tests.support.shelves import make_shelf

SCENARIOS = """
import pytest
from lab.scenario import logged, missing

@pytest.mark.controls(missing(type="openat", comm="cat", name="/etc/hostname"))
def test_a(machine, events):
    with events.capture() as seen:
        machine.run(["cat", "/etc/hostname"])
    seen.one(type="openat", comm="cat", name="/etc/hostname")

@pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))
def test_b(machine, printk):
    machine.run(["dd", "if=/dev/urandom", "of=/work/file", "bs=64k", "count=64", "status=none"])
    assert printk.splats() == []

@pytest.mark.controls(missing(type="openat", comm="cat", name="/etc/passwd"))
def test_c(machine, events):
    with events.capture() as seen:
        machine.run(["cat", "/etc/passwd"])
    seen.one(type="openat", comm="cat", name="/etc/passwd")
"""
_COUNT = 3
_TARGETS = ("pytest", "qemu", "worker")
_WORKER = "exec(eval(sys.stdin.readline()))"  # how execnet starts a worker of pytest-xdist's
_PARTS = (1.0, 0.5, 0.25)  # of the moment, when there was nothing to kill any more
_DEADLINE = 300.0
_GONE = 30.0  # seconds after which nothing of a run that was killed may live


@dataclass(frozen=True)
class Blow:
    """What of a run is killed and when: after `share` of the time that such a run takes, and of QEMU, which there is
    not always, `delay` seconds after it is first seen from then on. `saved`: the run finds a template."""

    seed: int
    number: int
    target: str
    saved: bool
    share: float
    delay: float

    def __str__(self) -> str:
        found = "a template there" if self.saved else "no template there"
        return f"seed {self.seed}, kill {self.number}: {self.target} at {self.share:.0%}, {found}"


def make_blow(seed: int, number: int) -> Blow:
    """The blow of that number, which is the same whenever `seed` is."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - nothing is secret here
    target = _TARGETS[number % len(_TARGETS)]
    return Blow(seed, number, target, chance.random() < 0.5, chance.random(), chance.uniform(0, 0.5))


@dataclass
class Arena:
    """Where runs are killed: folders of their own and the store of a test's. `told` is what happened, in words."""

    root: Path
    store: Path
    lengths: dict[bool, float] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.root / "tmp").mkdir()
        (self.root / "scenarios").mkdir()
        (self.root / "scenarios" / "test_killed.py").write_text(SCENARIOS)
        mine = {"LAB_STORE": str(self.store), "LAB_OFFLINE": "1", "TMPDIR": str(self.root / "tmp")}
        self.place = Place(self.root, mine)
        # How long a run takes that is let alone: without a template, then with the one that it made.
        self.demand_green()
        self.demand_green()

    def strike(self, blow: Blow) -> None:
        """Start a run and kill what the blow says; AssertionError when more is lost by it than must be."""
        if blow.target == "worker" and importlib.util.find_spec("xdist") is None:
            pytest.skip("pytest-xdist is not installed: there are no workers")
        for part in _PARTS:
            if self._struck(blow, part * blow.share * self.lengths[blow.saved]):
                return
        raise AssertionError(f"nothing could be killed: {self.told[-len(_PARTS) :]}")

    def _struck(self, blow: Blow, seconds: float) -> bool:
        """Whether there was something to kill after so many seconds."""
        if not blow.saved:
            shelves.remove_templates(self.store)
        # Where there are workers, pytest makes its folder for temporary files whether anybody wants it or not.
        workers = ("-n", "2", "--basetemp", str(self.root / "basetemp")) if blow.target == "worker" else ()
        with self._started(*workers) as run:
            with suppress(subprocess.TimeoutExpired):
                run.wait(seconds)
            victim = self._kill(run, blow)
            output, _ = run.communicate(timeout=_DEADLINE)
        until(lambda: not traces.processes(self.place.machines), _GONE)
        counts = self._verdicts()
        happened = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "nothing reported"
        said = [line for line in output.splitlines() if "booted" in line or "made again" in line]
        self.told.append("; ".join([f"{blow}: {victim or 'too late'} after {seconds:.1f} s", happened, *said]))
        if blow.target == "worker" and run.returncode == pytest.ExitCode.USAGE_ERROR:
            # xdist cannot go on without one that was killed while it was started; the run says so, and ran nothing.
            assert STILLBORN in output, output
            assert not counts, output
        elif blow.target != "pytest" or not victim:
            lost = _COUNT - counts[Verdict.PASSED]
            message = f"{self.told[-1]}\n{output}"
            assert lost <= (1 if victim else 0), message
            assert blow.target == "worker" or counts[Verdict.LOST] == lost, message
            assert run.returncode == (1 if lost else 0), message
        return bool(victim)

    def demand_green(self) -> None:
        """A run in which all goes well, and after which nothing is left of those before it."""
        began, saved = time.monotonic(), bool(shelves.templates(self.store))
        with self._started() as run:
            output, _ = run.communicate(timeout=_DEADLINE)
        # The host is now busier, now less so.
        self.lengths[saved] = time.monotonic() - began
        assert run.returncode == 0, output
        assert self._verdicts() == {Verdict.PASSED: _COUNT}, output
        left = traces.traces(self.place.machines, self.root / "tmp")
        assert (left.processes, left.sockets, left.files) == ((), (), ()), f"{left}\n{output}"
        assert self.place.folders() == []
        assert shelves.flaws(self.store) == []
        assert len(shelves.templates(self.store)) == 1
        listed = self.place.run([*LAB, "gc", "--json"])
        assert listed.returncode == 0, listed.stdout
        assert [row for row in json.loads(listed.stdout)["items"] if row["kind"] == LEFTOVER] == []

    def _started(self, *arguments: str) -> subprocess.Popen[str]:
        shutil.rmtree(self.place.bundles, ignore_errors=True)
        scenarios = str(self.root / "scenarios")
        return self.place.start(self.place.pytest(scenarios, "--driver", "falco:kmod", *arguments))

    def _verdicts(self) -> Counter[Verdict]:
        rows = (line for path in self.place.bundles.glob(f"*/{RESULTS}") for line in path.read_text().splitlines())
        return Counter(Verdict(json.loads(row)["verdict"]) for row in rows)

    def _kill(self, run: subprocess.Popen[str], blow: Blow) -> str:
        """Kill what is to be killed as soon as it is there; returns what it was, or nothing when it was too late."""
        ways: dict[str, Callable[[], list[int]]] = {
            "pytest": lambda: [run.pid],
            "qemu": self._qemus,
            "worker": lambda: self._workers(run.pid),
        }
        find = ways[blow.target]

        def due() -> bool:
            return run.poll() is not None or bool(find())

        until(due, _DEADLINE)
        if blow.target == "qemu":
            with suppress(subprocess.TimeoutExpired):
                run.wait(blow.delay)
            until(due, _DEADLINE)
        if run.poll() is not None:
            return ""
        for pid in find()[:1]:
            purpose = self._purpose(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return f"{blow.target}{purpose} was killed"
        return ""

    def _qemus(self) -> list[int]:
        return traces.qemus(self.place.machines)

    def _workers(self, controller: int) -> list[int]:
        return [
            pid
            for pid in traces.processes(self.place.machines)
            if traces.parent(pid) == controller and _WORKER in traces.command_line(pid)
        ]

    def _purpose(self, pid: int) -> str:
        """What a machine was for, by its record."""
        for path in self.place.machines.glob("*/record.json"):
            with suppress(OSError, ValueError):
                record = json.loads(path.read_bytes())
                if record["pid"] == pid:
                    return f" of {record['purpose'].rpartition('::')[2]}"
        return ""


def make_arena(lab: Lab, folder: Path) -> Arena:
    """An arena on what `lab`'s store has of its default kernel, Falco's module and all they need."""
    lab.prepare(Cell(lab.settings.kernel, host(), "falco:kmod"))
    return Arena(folder, make_shelf(folder / "store", lab.store, lab.store.used()))
