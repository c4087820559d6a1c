"""Captures: the events between two moments, complete, or an error that says why not.

A capture begins and ends with sentinels (lab/drivers/marks.py). Nothing sleeps. A mark of the end may be lost as any
event may; then another is made, and the driver must have counted a loss.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.drivers.deploy import Deployment
from lab.drivers.event import Counters, Event
from lab.drivers.expect import Expectations
from lab.drivers.marks import GONE, Stream, mark_until_seen
from lab.errors import ConsumerError

# Seconds on hardware.
_END_SILENCE = 5.0  # without any event while the end is waited for
_END_FIRST_LOOK = 0.25  # then it is asked whether the consumer runs at all, and the end is marked again
_END_LOOK_AT_MOST = 2.0
_END_LONGEST = 20.0  # however many still come: a slow reader may have thousands to work off
_UNCOUNTED = "it drops without counting: its counters cannot be believed on this kernel"
_SILENT = "the driver, or what reads it, stopped on the way: the bundle has the events until then"
_BEHIND = "other events still came: that CPU's are lost, or who reads them all is slower than they are made"


class UncountedLossError(ConsumerError):
    """A driver lost events for certain, and its counters say that it dropped none."""


@dataclass
class Capture(Expectations):
    """What was seen. Asking is for after the `with`; before it, there is nothing in it."""

    events: tuple[Event, ...] = ()
    counters: Counters | None = None
    closed: bool = False


class Events:
    """The `events` fixture: captures of one deployment's events. `recorded` keeps them for bundle and controls."""

    def __init__(self, deployment: Deployment) -> None:
        """UnsupportedError when nothing can read what the driver reports."""
        self._deployment = deployment
        self._order = deployment.consumer.order
        self.recorded: list[Capture] = []

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        """Capture what happens in the block. ConsumerError when the consumer dies, or falls silent past its deadline.

        A consumer that tells what the driver dropped only at its end is stopped at the capture's.
        """
        capture = Capture()
        stream = Stream(self._deployment, self._order, start=self._deployment.machine.events.count())
        nonce = secrets.token_hex(4)
        self._deployment.start_consumer()
        if self._deployment.consumer.counters == "USR1":
            # Asking is a command in the guest too: before the capture's first mark, or it would be in the capture.
            self._deployment.begin()
        before = self._deployment.counters()
        mark_until_seen(stream, f"/lab-{nonce}-begin")
        try:
            yield capture
            end = self._mark_end(stream, f"/lab-{nonce}-end")
        except BaseException:
            # An incomplete capture answers nothing, but what came of it is evidence.
            self.recorded.append(Capture(events=tuple(stream.events)))
            raise
        counters = self._deployment.final_counters(before)
        capture.events = stream.between(f"/lab-{nonce}-begin", end)
        capture.counters = counters
        self.recorded.append(capture)
        if end != f"/lab-{nonce}-end":
            self._demand_counted(counters)
        capture.closed = True

    def begin(self) -> None:
        """Start the consumer and wait until it reports every CPU's events; ConsumerError when it does not."""
        self._deployment.begin()

    def _mark_end(self, stream: Stream, prefix: str) -> str:
        """Mark the end until a mark of each CPU has come, and say which: PREFIX, or a later one when that was lost.

        A reader that is behind is waited for. But the mark may as well have been dropped: others are made meanwhile.
        """
        machine = self._deployment.machine
        latest = time.monotonic() + machine.scaled(_END_LONGEST)
        patience, silent = _END_FIRST_LOOK, 0.0
        made = {prefix: self._deployment.emit_sentinels(prefix)}
        while silent < _END_SILENCE and time.monotonic() < latest:
            known = len(stream.events)
            if end := stream.first_seen(made, machine.scaled(patience)):
                return end
            if self._deployment.consumer_fault():
                break
            # Asking and marking are events too: of a reader that works at all, some come.
            silent = 0.0 if len(stream.events) > known else silent + patience
            patience = min(2 * patience, _END_LOOK_AT_MOST)
            again = f"{prefix}-{len(made)}"
            made[again] = self._deployment.emit_sentinels(again)
        stream.read()
        fault = self._deployment.consumer_fault()
        why = f"its consumer ended: {fault}" if fault else stream.missing(prefix, made[prefix])
        what = f"{self._deployment.build.driver.name} did not report the end of the capture: {why}"
        raise ConsumerError(what, hint=GONE if fault else _SILENT if silent else _BEHIND)

    def _demand_counted(self, counters: Counters | None) -> None:
        """A mark of the end was lost: UncountedLossError unless the driver has counted a drop."""
        if counters and counters.drops:
            return
        told = "has no counters" if counters is None else "counted no drop"
        name = self._deployment.build.driver.name
        raise UncountedLossError(f"{name} lost the mark of the capture's end and {told}", hint=_UNCOUNTED)
