"""Reads the kernel's trace_pipe (its Documentation/trace/ftrace.rst, "Output format")."""

from __future__ import annotations

import re

from lab.drivers.event import Counters, Event

_LINE = re.compile(
    rb".{1,16}-(?P<tid>\d+)\s+\[(?P<cpu>\d+)\] \S+\s+(?P<seconds>\d+)\.(?P<micros>\d+): lab_open: "
    rb"\(.*\) comm=\"(?P<comm>.{0,15})\" name=\"(?P<name>.*)\""
)


class TracePipe:
    """Opens, as they are asked for: there is no result, no process but the thread, and no counter."""

    def event(self, line: bytes) -> Event | None:
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        tid = int(found["tid"])
        ts = int(found["seconds"]) * 10**9 + int(found["micros"]) * 1000
        return Event("openat", ts, int(found["cpu"]), tid, tid, -1, found["comm"], b"", None, {"name": found["name"]})

    def counters(self, said: bytes) -> Counters | None:
        del said
        return None


class TracePipeCounted(TracePipe):
    """As if it had a counter, and nothing was dropped: for machines that are to be saved."""

    def counters(self, said: bytes) -> Counters | None:
        del said
        return Counters(0, 0)


class Strict(TracePipe):
    """The same, of somebody who prints nothing but events."""

    def event(self, line: bytes) -> Event | None:
        event = super().event(line)
        if event is None:
            raise ValueError("it is no line of trace_pipe's")
        return event
