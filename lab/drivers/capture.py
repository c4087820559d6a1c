"""Captures: the events between two moments, complete, or an error that says why not.

A capture begins and ends with sentinels (lab/drivers/marks.py). Nothing sleeps.
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
_END_FIRST_LOOK = 0.25  # then it is asked whether the consumer runs at all
_END_LONGEST = 20.0  # however many still come: a slow reader may have thousands to work off
_SILENT = "the driver, or what reads it, stopped on the way: the bundle has the events until then"


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
            self._mark_once(stream, f"/lab-{nonce}-end")
        except BaseException:
            # An incomplete capture answers nothing, but what came of it is evidence.
            self.recorded.append(Capture(events=tuple(stream.events)))
            raise
        counters = self._deployment.final_counters(before)
        capture.events = stream.between(f"/lab-{nonce}-begin", f"/lab-{nonce}-end")
        capture.counters = counters
        capture.closed = True
        self.recorded.append(capture)

    def begin(self) -> None:
        """Start the consumer and wait until it reports every CPU's events; ConsumerError when it does not."""
        self._deployment.begin()

    def _mark_once(self, stream: Stream, prefix: str) -> None:
        machine = self._deployment.machine
        cpus = self._deployment.emit_sentinels(prefix)
        latest = time.monotonic() + machine.scaled(_END_LONGEST)
        known = -1
        while len(stream.events) > known and time.monotonic() < latest:
            known = len(stream.events)
            if stream.seen(prefix, cpus, machine.scaled(_END_FIRST_LOOK)):
                return
            if self._deployment.consumer_fault():
                break
            if stream.seen(prefix, cpus, machine.scaled(_END_SILENCE - _END_FIRST_LOOK)):
                return
        stream.read()
        fault = self._deployment.consumer_fault()
        why = f"its consumer ended: {fault}" if fault else stream.missing(prefix, cpus)
        what = f"{self._deployment.build.driver.name} did not report the end of the capture: {why}"
        raise ConsumerError(what, hint=GONE if fault else _SILENT)
