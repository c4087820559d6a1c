"""Captures of a driver that is itself attacked: blinded, flooded, or its consumer killed.

No driver can promise to survive root. What must hold is that nothing is green then: the action is reported, or it is
counted as dropped, or the capture cannot be ended and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.drivers.capture import Capture, Events, UncountedLossError
from lab.drivers.expect import show_expected
from lab.errors import ConsumerError


@dataclass
class Attacked:
    """A capture, or what ended it."""

    capture: Capture = field(default_factory=Capture)
    error: ConsumerError | None = None

    @property
    def told(self) -> str:
        """How it shows that the driver is no longer whole; empty when it does not. A loss that the lab alone noticed,
        by its own mark, shows nothing to a driver's user."""
        if self.error is not None:
            return "" if isinstance(self.error, UncountedLossError) else self.error.what
        counters = self.capture.counters
        if counters is None:
            return "the driver's drop counters are not known"
        return f"{counters.drops} events were dropped" if counters.drops else ""

    def demand(self, **action: Any) -> None:
        """AssertionError when the action is not reported and nothing tells that something is missing."""
        __tracebackhide__ = True  # pytest shows the scenario's line, not ours
        if self.told:
            return
        if self.error:
            raise AssertionError(f"an action vanished, or can have: {self.error.what}")
        if not self.capture.all(**action):
            raise AssertionError(
                f"an action vanished: no event with {show_expected(action)} among {len(self.capture.events)}, the "
                "capture is whole, and nothing was counted as dropped"
            )


@contextmanager
def under_attack(events: Events) -> Iterator[Attacked]:
    """Capture what happens in the block, in which the driver is attacked. A consumer that is dead or silent at its end
    is no error here but an answer; what else goes wrong is raised."""
    attacked = Attacked()
    done = False
    try:
        with events.capture() as attacked.capture:
            yield attacked
            done = True
    except ConsumerError as error:
        if not done:
            raise
        attacked.error = error
