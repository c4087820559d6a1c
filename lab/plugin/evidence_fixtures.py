"""The fixtures that show what the guest's kernel knows: `printk`, `bpftool`, `ftrace`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from lab.drivers.deploy import Deployment
from lab.evidence.bpftool import Bpftool
from lab.evidence.ftrace import Ftrace, Graph, Trace
from lab.evidence.kernellog import KernelLog
from lab.evidence.printk import Record, since
from lab.evidence.splats import Splat, find_splats
from lab.evidence.symbols import Symbols, symbols_of
from lab.evidence.taint import read_taint
from lab.machines.machine import Machine
from lab.plugin.session import Scenario
from lab.plugin.tape import Taped


class PrintkSource:
    """What the `printk` fixture asks of the guest; each answer goes onto the tape."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._log = KernelLog(machine)

    def records(self) -> list[Record]:
        """All records until now."""
        return self._log.records()

    def mark(self) -> Record:
        """The last record now. An answer of its own: a control that adds a line to the log leaves it alone."""
        return self._log.records()[-1]

    def taint(self) -> frozenset[str]:
        """The kernel's taint flags."""
        return read_taint(self._machine)


class PrintkFixture:
    """The `printk` fixture: records as they were read, and what they mean."""

    def __init__(self, source: Any, symbols: Symbols | None = None) -> None:
        self._source = source
        self._symbols = symbols or Symbols({})

    def records(self) -> list[Record]:
        """All records until now, from /dev/kmsg and the console."""
        return cast(list[Record], self._source.records())

    def mark(self) -> Record:
        """Now, for `since`."""
        return cast(Record, self._source.mark())

    def since(self, moment: Record | float) -> list[Record]:
        """What was said after that record (`mark()`), or from that time on (seconds since the guest's boot)."""
        return since(self.records(), moment)

    def matching(self, pattern: str | re.Pattern[str]) -> list[Record]:
        """The records in whose text the regular expression is found."""
        wanted = re.compile(pattern)
        return [record for record in self.records() if wanted.search(record.text)]

    def splats(self, since: Record | float | None = None) -> list[Splat]:
        """What the kernel complained about until now (after that moment), each with its parts: `splat.details`."""
        records = self.records() if since is None else self.since(since)
        return [self._symbols.locate(splat) for splat in find_splats(records)]

    def taint(self) -> frozenset[str]:
        """The kernel's taint flags, by their letters: {"O", "E"} with a driver that is a module."""
        return cast(frozenset[str], self._source.taint())


@pytest.fixture
def printk(deployment: Deployment, scenario: Scenario) -> PrintkFixture:
    """The kernel log: `printk.records()`, `printk.since(mark)`, `printk.matching(pattern)`, `printk.splats()`."""
    source = Taped(PrintkSource(deployment.machine), scenario.tape, "printk")
    return PrintkFixture(source, symbols_of(scenario.prepared.driver if scenario.prepared else None))


class TapedFtrace(Taped):
    """The `ftrace` fixture on tape: a recording is filled when its block ends."""

    @contextmanager
    def graph(self, *functions: str, depth: int = 0) -> Iterator[Graph]:
        if self._tape.replaying:
            graph = Graph()
            yield graph
            vars(graph).update(vars(self._tape.play("ftrace.graph")))
            return
        with self._target.graph(*functions, depth=depth) as live:
            yield live
        self._tape.record("ftrace.graph", live)

    @contextmanager
    def events(self, *events: str) -> Iterator[Trace]:
        if self._tape.replaying:
            trace = Trace()
            yield trace
            vars(trace).update(vars(self._tape.play("ftrace.events")))
            return
        with self._target.events(*events) as live:
            yield live
        self._tape.record("ftrace.events", live)


@pytest.fixture
def bpftool(deployment: Deployment, scenario: Scenario) -> Bpftool:
    """The guest's bpftool: `bpftool.programs()`, `.maps()`, `.entries(map)`, `.links()`, `.left_behind()`, ..."""
    return cast(Bpftool, Taped(Bpftool(deployment.machine), scenario.tape, "bpftool"))


@pytest.fixture
def ftrace(deployment: Deployment, scenario: Scenario) -> Ftrace:
    """The kernel's tracer: `with ftrace.graph("module:scap") as graph: ...`, `with ftrace.events("sched:*") as ...`."""
    return cast(Ftrace, TapedFtrace(Ftrace(deployment.machine), scenario.tape, "ftrace"))
