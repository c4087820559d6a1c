"""What tracefs prints, as records (Documentation/trace/ftrace.rst). A guest's words; nothing here raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

# "  168.660824 |   0)    cat-219     | + 86.519 us   |    rw_verify_area();"
_GRAPH = re.compile(
    r"\s*(?P<time>\d{1,11}\.\d{6}) \|\s+(?P<cpu>\d{1,5})\)\s+(?P<comm>\S.{0,20}?)-(?P<pid>\d{1,10})\s+\|"
    r"(?:[ $@*#!+]*(?P<took>\d{1,16}\.\d{1,3}) us)?\s*\| (?P<text>.*)"
)
_CALL = re.compile(
    r"(?P<indent> *)(?P<function>[A-Za-z_.$][\w.$]{0,255})(?: \[(?P<module>\w{1,64})\])?\((?P<rest>.*?)\)(?P<end>;| \{)"
)
_CLOSE = re.compile(r"(?P<indent> *)\}")
# "             cat-219     [000] d..1.   168.660385: sys_enter: NR 0 (...)"
_EVENT = re.compile(
    r"\s*(?P<comm>\S.{0,20}?)-(?P<pid>\d{1,10})\s+(?:\(.{1,10}\)\s+)?\[(?P<cpu>\d{1,5})\]\s+(?:\S{1,10}\s+)?"
    r"(?P<time>\d{1,11}\.\d{6}): (?P<name>\w{1,128}): ?(?P<text>.*)"
)
_FIELD = re.compile(r"(?<!\S)(?P<name>[A-Za-z_]\w{0,63})=(?P<value>\S*)")
_MAX_LINE = 4096


@dataclass(frozen=True)
class Call:
    """One call of a function: `time` in seconds of the trace's clock, `took` in microseconds (None: it had not returned
    when the trace ended), `depth` 0 for a function that was asked for. `comm` is cut off after 7 characters."""

    time: float
    cpu: int
    comm: str
    pid: int
    function: str
    module: str
    depth: int
    took: float | None


@dataclass(frozen=True)
class TraceEvent:
    """One trace event; `fields` are its NAME=VALUE words, `text` is all that it said."""

    time: float
    cpu: int
    comm: str
    pid: int
    name: str
    text: str
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def read_graph(text: str) -> list[Call]:
    """The calls in what the tracer function_graph printed, in their order."""
    calls: list[Call] = []
    open_: dict[tuple[str, int], int] = {}  # by task and depth: where its call is
    for line in text.split("\n"):
        found = _GRAPH.match(line[:_MAX_LINE])
        if not found:
            continue
        took = float(found["took"]) if found["took"] else None
        if call := _CALL.match(found["text"]):
            depth = _depth(call)
            if call["end"] != ";":
                open_[found["pid"], depth] = len(calls)
            calls.append(
                Call(
                    time=float(found["time"]),
                    cpu=int(found["cpu"]),
                    comm=found["comm"],
                    pid=int(found["pid"]),
                    function=call["function"],
                    module=call["module"] or "",
                    depth=depth,
                    took=took if call["end"] == ";" else None,
                )
            )
        elif close := _CLOSE.match(found["text"]):
            place = open_.pop((found["pid"], _depth(close)), None)
            if place is not None:
                calls[place] = replace(calls[place], took=took)
    return calls


def read_events(text: str) -> list[TraceEvent]:
    """The events in what a trace buffer printed, in their order."""
    return [
        TraceEvent(
            time=float(found["time"]),
            cpu=int(found["cpu"]),
            comm=found["comm"],
            pid=int(found["pid"]),
            name=found["name"],
            text=found["text"],
            fields=MappingProxyType({each["name"]: each["value"] for each in _FIELD.finditer(found["text"])}),
        )
        for line in text.split("\n")
        if (found := _EVENT.match(line[:_MAX_LINE]))
    ]


def _depth(found: re.Match[str]) -> int:
    # One space separates the columns, two stand for each level.
    return max(0, (len(found["indent"]) - 1) // 2)
