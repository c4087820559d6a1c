"""An adapter that sees nothing, for drivers that report nothing."""

from __future__ import annotations

from lab.drivers.event import Counters, Event


class NoEvents:
    """Reads nothing."""

    def event(self, line: bytes) -> Event | None:
        del line
        return None

    def counters(self, said: bytes) -> Counters | None:
        del said
        return None
