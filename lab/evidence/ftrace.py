"""Function graphs and trace events of a guest's kernel, around an action, through tracefs (live.py: as they come)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.errors import LabError, RequestError, UnsupportedError
from lab.evidence.tracetext import Call, TraceEvent, read_events, read_graph
from lab.machines.result import Result, Sink

PLACE = "/sys/kernel/tracing"
_MODULE = "module:"
_NAME = re.compile(r"[A-Za-z_.$*?\[\]][\w.$*?\[\]]{0,255}")
_EVENT = re.compile(r"\w{1,128}:[\w*]{1,128}")
_DEADLINE = 20.0  # seconds on hardware: a kernel patches each function that it is to trace
_MAX_TEXT = 16 << 20
_UNAVAILABLE = 3
# $1 is the depth, the rest functions to begin graphs at; without any, the filter of standard input says what is traced.
_GRAPH_ON = f"""
cd {PLACE} || exit {_UNAVAILABLE}
grep -qw function_graph available_tracers || exit {_UNAVAILABLE}
echo 0 >tracing_on && echo nop >current_tracer && echo >trace || exit 1
depth=$1
shift
echo "$depth" >max_graph_depth || exit 1
echo >set_graph_function
echo >set_ftrace_filter
for function; do
	case $function in
	module:*) echo ":mod:${{function#module:}}" >>set_ftrace_filter ;;
	*) echo "$function" >>set_graph_function ;;
	esac || {{ echo "$function" >&2; exit 2; }}
done
for option in abstime proc duration overhead cpu; do echo 1 >"options/funcgraph-$option"; done
for option in tail irqs; do echo 0 >"options/funcgraph-$option"; done 2>/dev/null
echo function_graph >current_tracer && echo 1 >tracing_on
"""
_GRAPH_OFF = f"""
cd {PLACE} || exit
echo 0 >tracing_on
cat per_cpu/cpu*/stats | sed -n 's/^overrun: //p' | tr '\\n' ' '
echo
head -c {_MAX_TEXT} trace
echo nop >current_tracer
echo >set_graph_function
echo >set_ftrace_filter
echo 0 >max_graph_depth
echo >trace
echo 1 >tracing_on
"""
# $1 names a buffer of its own, so that whoever else traces is not disturbed.
_EVENTS_ON = f"""
cd {PLACE}/instances || exit {_UNAVAILABLE}
mkdir -p "$1" && cd "$1" || exit {_UNAVAILABLE}
shift
echo 0 >tracing_on
echo >trace
for event; do
	echo "$event" >>set_event || {{ echo "$event" >&2; exit 2; }}
done
echo 1 >tracing_on
"""
_EVENTS_OFF = f"""
cd {PLACE}/instances/"$1" || exit
echo 0 >tracing_on
cat per_cpu/cpu*/stats | sed -n 's/^overrun: //p' | tr '\\n' ' '
echo
head -c {_MAX_TEXT} trace
cd ..
rmdir "$1"
"""
_INSTANCE = "lab"


class Guest(Protocol):
    """What runs commands in a guest: its machine, or a visitor at its door. Deadlines are in seconds on hardware."""

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        deadline: float = 10.0,
        stdin: bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> Result:
        """As Machine.run."""
        ...

    def put(self, path: str, file: Path) -> None:
        """As Machine.put."""
        ...


@dataclass
class Graph:
    """The calls that were made while it was recorded; empty until then. `lost` entries found no room."""

    calls: tuple[Call, ...] = ()
    lost: int = 0
    closed: bool = False

    def of(self, function: str = "", *, comm: str = "", pid: int = 0) -> list[Call]:
        """The calls of that function, by that task."""
        return [
            call
            for call in self.calls
            if function in ("", call.function) and comm[:7] in ("", call.comm) and pid in (0, call.pid)
        ]


@dataclass
class Trace:
    """The trace events that came while it was recorded; empty until then."""

    events: tuple[TraceEvent, ...] = ()
    lost: int = 0
    closed: bool = False


class Ftrace:
    """The `ftrace` fixture. Trace events are kept in a buffer of their own, named `instance`."""

    def __init__(self, guest: Guest, instance: str = _INSTANCE) -> None:
        self._guest = guest
        self.instance = instance

    @contextmanager
    def graph(self, *functions: str, depth: int = 0) -> Iterator[Graph]:
        """Record the calls of these functions, and what they call, `depth` levels deep (0: all), while the block runs.

        "module:NAME" stands for all functions of a module. UnsupportedError where the kernel has no such tracer,
        RequestError for a function that it cannot trace.
        """
        graph = Graph()
        self.begin_graph(functions, depth)
        try:
            yield graph
        finally:
            lost, text = self.end_graph()
        graph.calls, graph.lost, graph.closed = tuple(read_graph(text)), lost, True

    @contextmanager
    def events(self, *events: str) -> Iterator[Trace]:
        """Record these trace events ("sched:sched_switch", "syscalls:*") while the block runs; errors as `graph`'s."""
        trace = Trace()
        self.begin_events(events)
        try:
            yield trace
        finally:
            lost, text = self.end_events()
        trace.events, trace.lost, trace.closed = tuple(read_events(text)), lost, True

    def begin_graph(self, functions: Sequence[str], depth: int = 0) -> None:
        """Begin to record as `graph` does, until `end_graph`."""
        _demand(functions, _NAME)
        self._begin(_GRAPH_ON, [str(depth), *functions], "function graphs (CONFIG_FUNCTION_GRAPH_TRACER)")

    def end_graph(self) -> tuple[int, str]:
        """Switch function graphs off; returns how many entries were lost, and what was recorded."""
        return self._end(_GRAPH_OFF)

    def begin_events(self, events: Sequence[str]) -> None:
        """Begin to record as `events` does, until `end_events`."""
        _demand(events, _EVENT)
        self._begin(_EVENTS_ON, [self.instance, *events], "trace events (CONFIG_TRACING)")

    def end_events(self) -> tuple[int, str]:
        """Switch these events off, as `end_graph`."""
        return self._end(_EVENTS_OFF, self.instance)

    def _begin(self, script: str, words: Sequence[str], what: str) -> None:
        done = self._guest.run(["sh", "-c", script, "sh", *words], check=False, deadline=_DEADLINE)
        said = done.stderr.decode(errors="replace").strip()
        if done.status == _UNAVAILABLE:
            release = self._guest.run(["uname", "-r"]).text.strip()
            raise UnsupportedError(f"kernel {release} has no {what}", hint="--kernel 6.12 has it")
        if done.status == 2:
            name = said.splitlines()[-1] if said else ""
            raise RequestError(
                f"the guest's kernel cannot trace {name!r}",
                hint=f"{PLACE}/available_filter_functions and _events list",
            )
        if done.status != 0:
            raise LabError(f"tracefs in the guest refuses: {said[:500]}")

    def _end(self, script: str, *words: str) -> tuple[int, str]:
        done = self._guest.run(["sh", "-c", script, "sh", *words], check=False, deadline=_DEADLINE)
        first, _, text = done.stdout.decode(errors="replace").partition("\n")
        return sum(int(word) for word in first.split() if word.isdigit()), text


def ending(graph: bool) -> str:
    """The script that switches function graphs off, or, with its name as $1, an instance's trace events."""
    return _GRAPH_OFF if graph else _EVENTS_OFF


def _demand(names: Sequence[str], form: re.Pattern[str]) -> None:
    wrong = [name for name in names if not form.fullmatch(name.removeprefix(_MODULE))]
    if not names or wrong:
        raise RequestError(f"{wrong[0] if wrong else 'nothing'!r} cannot be traced", hint="name functions or events")
