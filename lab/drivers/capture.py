"""Captures: the events between two moments, complete, or an error that says why not.

A capture begins and ends with sentinels: events that the lab itself causes, one pinned to each CPU. Rings are per CPU
and in order, so once a CPU's sentinel has come through, everything before it on that CPU has. Nothing sleeps.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.drivers.deploy import Deployment
from lab.drivers.event import Counters, Event
from lab.drivers.expect import Expectations
from lab.errors import ConsumerError

# Seconds on hardware.
_START_DEADLINE = 10.0
_END_DEADLINE = 5.0
_AGAIN = 0.05  # how long to wait for a first sentinel before making the next: the consumer may not read yet


@dataclass
class Capture(Expectations):
    """What was seen. Asking is for after the `with`; before it, there is nothing in it."""

    events: tuple[Event, ...] = ()
    counters: Counters | None = None
    closed: bool = False


@dataclass
class _Stream:
    """The consumer's lines as events, each parsed once; `marks` are the sentinels among them by prefix and CPU."""

    deployment: Deployment
    start: int = 0
    events: list[Event] = field(default_factory=list)
    marks: dict[tuple[str, int], int] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)

    def read(self) -> None:
        """Take in what has come since the last look."""
        lines = self.deployment.machine.events.since(self.start)
        self.start += len(lines)
        for line in lines:
            event = self.deployment.event(line) if line.strip() else None
            if event is not None:
                self._note(event)
                self.events.append(event)

    def marked(self, prefix: str, cpus: Sequence[int]) -> bool:
        self.read()
        return all((prefix, cpu) in self.marks for cpu in cpus)

    def between(self, first: str, last: str) -> tuple[Event, ...]:
        """Events after their own CPU's first mark and before its last, without the lab's own."""
        kept = []
        for index, event in enumerate(self.events):
            begin, end = self.marks.get((first, event.cpu)), self.marks.get((last, event.cpu))
            if begin is not None and end is not None and begin < index < end and event.pid not in self.own:
                kept.append(event)
        return tuple(kept)

    def _note(self, event: Event) -> None:
        consumer = self.deployment.mode.consumer
        path = event.params.get(consumer.sentinel_param)
        if event.type not in consumer.sentinel or not isinstance(path, bytes) or not path.startswith(b"/lab-"):
            return
        prefix, _, cpu = path.rpartition(b"/")
        # Made on one CPU and reported from another: order would prove nothing, so it does not count.
        if cpu == b"%d" % event.cpu:
            # The last of several with the same name: events before it may still have been on their way.
            self.marks[prefix.decode(errors="replace"), event.cpu] = len(self.events)
            self.own.add(event.pid)


class Events:
    """The `events` fixture: captures of one deployment's events. `recorded` keeps them for bundle and controls."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.recorded: list[Capture] = []

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        """Capture what happens in the block. ConsumerError when the consumer dies, or falls silent past its deadline.

        The consumer is stopped at the end, because only then does it tell what the driver dropped.
        """
        capture = Capture()
        stream = _Stream(self._deployment, start=self._deployment.machine.events.count())
        nonce = secrets.token_hex(4)
        self._deployment.start_consumer()
        self._mark_until_seen(stream, f"/lab-{nonce}-begin")
        try:
            yield capture
            self._mark_once(stream, f"/lab-{nonce}-end")
        except BaseException:
            # An incomplete capture answers nothing, but what came of it is evidence.
            self.recorded.append(Capture(events=tuple(stream.events)))
            raise
        counters = self._deployment.stop_consumer()
        capture.events = stream.between(f"/lab-{nonce}-begin", f"/lab-{nonce}-end")
        capture.counters = counters
        capture.closed = True
        self.recorded.append(capture)

    def begin(self) -> None:
        """Start the consumer and wait until it reports every CPU's events; ConsumerError when it does not."""
        stream = _Stream(self._deployment, start=self._deployment.machine.events.count())
        self._deployment.start_consumer()
        self._mark_until_seen(stream, f"/lab-{secrets.token_hex(4)}-first")

    def _mark_until_seen(self, stream: _Stream, prefix: str) -> None:
        """Make sentinels until one of each CPU has come: a consumer that is starting misses the first ones."""
        machine = self._deployment.machine
        deadline = time.monotonic() + machine.scaled(_START_DEADLINE)
        while True:
            cpus = self._deployment.emit_sentinels(prefix)
            if self._seen(stream, prefix, cpus, machine.scaled(_AGAIN)):
                return
            if fault := self._deployment.consumer_fault():
                raise ConsumerError(f"the consumer of {self._name} ended: {fault}")
            if time.monotonic() > deadline:
                raise ConsumerError(
                    f"the consumer of {self._name} reported nothing: {self._missing(stream, prefix, cpus)}"
                )

    def _mark_once(self, stream: _Stream, prefix: str) -> None:
        machine = self._deployment.machine
        cpus = self._deployment.emit_sentinels(prefix)
        if self._seen(stream, prefix, cpus, machine.scaled(_END_DEADLINE)):
            return
        fault = self._deployment.consumer_fault()
        why = f"its consumer ended: {fault}" if fault else self._missing(stream, prefix, cpus)
        raise ConsumerError(f"{self._name} did not report the end of the capture: {why}")

    def _seen(self, stream: _Stream, prefix: str, cpus: Sequence[int], deadline: float) -> bool:
        machine = self._deployment.machine
        seen = machine.events.wait(lambda: not machine.alive() or stream.marked(prefix, cpus), deadline)
        machine.check()
        stream.read()
        return seen

    def _missing(self, stream: _Stream, prefix: str, cpus: Sequence[int]) -> str:
        silent = [str(cpu) for cpu in cpus if (prefix, cpu) not in stream.marks]
        return f"no sentinel came from CPU {', '.join(silent)}, after {len(stream.events)} events"

    @property
    def _name(self) -> str:
        return self._deployment.build.driver.name
