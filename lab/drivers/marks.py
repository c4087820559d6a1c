"""Sentinels: events that the lab itself causes, one pinned to each CPU, and the stream of events they are found in.

Rings are per CPU and in order, so once a CPU's sentinel has come through, everything before it on that CPU has.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.drivers.event import Event
from lab.errors import ConsumerError

if TYPE_CHECKING:
    from lab.drivers.deploy import Deployment

GONE = "run what `consumer.command` in driver.toml says by hand: `lab shell` has the same guest"
_LINES = "it must print one event a line, and nothing else: correct `consumer.command` in driver.toml"
_AGAIN = 0.05  # seconds on hardware to wait for a first sentinel before making the next: it may not be read yet
_AGAIN_AT_MOST = 0.2
_BUSY = 100  # events between two marks, many more than to make one takes: others still come
_BEHIND_LONGEST = 60.0  # beyond the time to start: ten thousand threads are sixty thousand events
_MOST = 256 << 20  # bytes of lines that are kept as events


@dataclass
class Stream:
    """The consumer's lines as events, each parsed once; `marks` are the sentinels among them by prefix and CPU."""

    deployment: Deployment
    order: str  # as the manifest's `order` has it
    start: int = 0
    events: list[Event] = field(default_factory=list)
    marks: dict[tuple[str, int], int] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)
    size: int = 0  # bytes of lines read

    def read(self) -> None:
        """Take in what has come since the last look."""
        lines = self._lines()
        self.start += len(lines)
        for line in lines:
            event = self.deployment.event(line) if line.strip() else None
            if event is not None:
                self._note(event)
                self.events.append(event)

    def marked(self, prefix: str, cpus: Sequence[int]) -> bool:
        """Whether each CPU's mark has come."""
        self.read()
        return all((prefix, cpu) in self.marks for cpu in cpus)

    def first_seen(self, made: Mapping[str, Sequence[int]], deadline: float) -> str | None:
        """Wait until each CPU's mark of one of the prefixes in `made` has come: the first of those, None after
        `deadline` seconds. MachineLostError when the guest died."""
        machine = self.deployment.machine

        def first() -> str | None:
            return next((prefix for prefix, cpus in made.items() if self.marked(prefix, cpus)), None)

        machine.events.wait(lambda: not machine.alive() or first() is not None, deadline)
        machine.check()
        return first()

    def missing(self, prefix: str, cpus: Sequence[int]) -> str:
        """Which CPUs' marks have not come, in words."""
        silent = [str(cpu) for cpu in cpus if (prefix, cpu) not in self.marks]
        return f"no sentinel came from CPU {', '.join(silent)}, after {len(self.events)} events"

    def between(self, first: str, last: str) -> tuple[Event, ...]:
        """Events after their own CPU's first mark and before its last, without the lab's own."""
        kept = []
        for index, event in enumerate(self.events):
            begin, end = self._span(first, last, event.cpu)
            if begin is not None and end is not None and begin < index < end and event.pid not in self.own:
                kept.append(event)
        return tuple(kept)

    def _span(self, first: str, last: str, cpu: int) -> tuple[int | None, int | None]:
        """Where a CPU's events of the capture begin and end; where all CPUs' come in one order, every CPU's alike."""
        if self.order == "cpu":
            return self.marks.get((first, cpu)), self.marks.get((last, cpu))
        begins, ends = ([at for (name, _), at in self.marks.items() if name == prefix] for prefix in (first, last))
        return max(begins, default=None), min(ends, default=None)

    def _lines(self) -> list[bytes]:
        try:
            lines = self.deployment.machine.events.since(self.start)
            self.size += sum(map(len, lines))
            if self.size > _MOST:
                raise ConsumerError(f"more than {_MOST >> 20} MiB came in one capture")
            return lines
        except ConsumerError as error:
            name = self.deployment.build.driver.name
            raise ConsumerError(
                f"the consumer of {name} prints more than is read: {error.what}", hint=_LINES
            ) from error

    def _note(self, event: Event) -> None:
        consumer = self.deployment.consumer
        path = event.params.get(consumer.sentinel_param)
        if event.type not in consumer.sentinel or not isinstance(path, bytes):
            return
        head, _, word = path.rpartition(b"/")
        prefix = head.decode(errors="replace")
        if prefix not in self.deployment.prefixes:
            return
        # A driver that does not tell CPUs has one order for all.
        cpu = event.cpu if self.order == "cpu" else _number(word)
        # Made on one CPU and reported from another: order would prove nothing, so it does not count.
        if word == b"%d" % cpu:
            # The last of several with the same name: events before it may still have been on their way.
            self.marks[prefix, cpu] = len(self.events)
            self.own.add(event.pid)


def mark_until_seen(stream: Stream, prefix: str) -> None:
    """Make sentinels until one of each CPU has come: a consumer that is starting misses the first ones.

    ConsumerError when it ends, or reports nothing in the time that its manifest gives it. One that has much to report
    first is waited for longer.
    """
    deployment = stream.deployment
    machine, name = deployment.machine, deployment.build.driver.name
    starts_within = machine.scaled(deployment.consumer.starts_within)
    deadline = time.monotonic() + starts_within
    latest = deadline + machine.scaled(_BEHIND_LONGEST)
    patience = _AGAIN
    while True:
        known = len(stream.events)
        cpus = deployment.emit_sentinels(prefix)
        if stream.first_seen({prefix: cpus}, machine.scaled(patience)):
            return
        if len(stream.events) > known + _BUSY:
            deadline = max(deadline, min(time.monotonic() + starts_within, latest))
        # Making and asking are events too, which a consumer that is behind has to work off.
        patience = min(2 * patience, _AGAIN_AT_MOST)
        if fault := deployment.consumer_fault():
            raise ConsumerError(f"the consumer of {name} ended: {fault}", hint=GONE)
        if time.monotonic() > deadline:
            types, seconds = " or ".join(deployment.consumer.sentinel), deployment.consumer.starts_within
            raise ConsumerError(
                f"the consumer of {name} reported nothing: {stream.missing(prefix, cpus)}",
                hint=f"it must report each open of a file as {types}, the first within {seconds:g} s on hardware: "
                "see `consumer` in driver.toml",
            )


def _number(word: bytes) -> int:
    """A CPU's number, -1 for what is none: a guest's programs can open any path."""
    return int(word) if word.isdigit() and len(word) < 6 else -1
