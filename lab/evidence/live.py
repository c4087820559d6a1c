"""Function graphs and trace events of a guest's kernel as they come, line by line; always switched off again.

A reader in the guest carries the lines out, and a watcher beside it, in a session of its own, switches the tracer off
when that reader is gone: also when the host's side was killed.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.errors import LabError, MachineLostError, RequestError
from lab.evidence.ftrace import PLACE, Ftrace, Guest, ending
from lab.machines.result import Sink

LONGEST = 3600.0  # seconds on hardware
READY_DEADLINE = 20.0  # on hardware
_DRAIN_DEADLINE = 20.0
_READY = b"lab: tracing\n"
_MARK = "lab: end of the trace"
_BUSY = 4
_MAX_LINE = 64 << 10
_MARKED = re.compile(rb"[^\n]*" + re.escape(_MARK).encode() + rb"[^\n]*\n")
# $1 is the tracer's folder. Whoever takes it holds it, though others may look.
_TAKE = f"""
cd "$1" || exit 0
[ "$(cat current_tracer)" = nop ] || exit {_BUSY}
"""
# $1 is the reader's pid file, $2 the tracer's folder, $3 what switches it off, the rest that one's words. What carries
# the trace out is left out of it, or a trace of reads would have no end.
_READ = """
pid=$1 place=$2 off=$3
shift 3
cd "$place" || exit 1
echo $$ >"$pid"
for file in set_ftrace_notrace_pid set_event_notrace_pid; do
	[ -e "$file" ] && { echo $$ >"$file"; echo "$PPID" >>"$file"; }
done
watch='pid=$1 reader=$2 off=$3; shift 3
while [ -e "/proc/$reader/exe" ]; do sleep 0.2; done
[ "$(cat "$pid")" = "$reader" ] && rm -f "$pid" && exec sh -c "$off" sh "$@"'
setsid -f sh -c "$watch" sh "$pid" $$ "$off" "$@" >/dev/null 2>&1 </dev/null
echo >trace
echo "lab: tracing" >&2
exec cat trace_pipe
"""
# $1 is the pid file, $2 the folder, $3 whether what is recorded shall come out first. A reader that has read something
# sees the end when the tracer is off; one that waits for the first line is ended.
_STOP = f"""
reader=$(cat "$1") || exit 0
rm -f "$1"
cd "$2" || exit 0
echo "{_MARK}" >trace_marker
echo 0 >tracing_on
for file in set_ftrace_notrace_pid set_event_notrace_pid; do
	[ -e "$file" ] && echo >"$file"
done
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ "$3" = drain ] && [ -e "/proc/$reader/exe" ] || break
	[ "$try" -gt 3 ] && ! grep -q '^entries: [1-9]' per_cpu/cpu*/stats && break
	sleep 0.2
done
kill "$reader" 2>/dev/null
true
"""


@dataclass(frozen=True)
class Wish:
    """What is to be traced: functions (and what they call, `depth` levels deep, 0 being all), or trace events."""

    functions: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    depth: int = 0


class Live:
    """A trace under way, its lines going to a sink; `lost` entries found no room, known at its end."""

    def __init__(self, guest: Guest, argv: Sequence[str], sink: Sink, seconds: float) -> None:
        """Start it: `argv` in the guest prints the lines for at most `seconds` on hardware."""
        self.lost = 0
        self.status: int | None = None
        self._guest = guest
        self._argv = argv
        self._seconds = seconds
        self._lines = Lines(sink)
        self._said = b""
        self._fault: BaseException | None = None
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="lab-trace", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the trace's own end, `seconds` of the clock at most; returns whether it came. Raises what ended it."""
        ended = self._ended.wait(seconds)
        self.check()
        return ended

    def check(self) -> None:
        """Raise what went wrong with it."""
        if self._fault is not None:
            raise self._fault

    def wait_said(self, wanted: Callable[[bytes], bool], seconds: float) -> bool:
        """Wait, `seconds` of the clock, until what it said on standard error is `wanted`; False when it ended before."""
        deadline = threading.Event()
        timer = threading.Timer(seconds, lambda: (deadline.set(), self._changed.set()))
        timer.daemon = True
        timer.start()
        try:
            while not wanted(self._said):
                if self._ended.is_set() or deadline.is_set():
                    self.check()
                    return wanted(self._said)
                self._changed.wait()
                self._changed.clear()
            return True
        finally:
            timer.cancel()

    @property
    def said(self) -> str:
        """What it said on standard error."""
        return self._said.decode(errors="replace")

    def finish(self, seconds: float) -> None:
        """Wait for its end, which somebody brought about."""
        self._thread.join(seconds)
        self._lines.end()

    def _read(self) -> None:
        try:
            done = self._guest.run(
                self._argv, check=False, deadline=self._seconds, stdout=self._lines.take, stderr=self._hear
            )
            self.status = done.status
        except BaseException as error:  # noqa: BLE001 - told by who waits for it
            self._fault = error
        finally:
            self._ended.set()
            self._changed.set()

    def _hear(self, data: bytes) -> None:
        self._said = (self._said + data)[-_MAX_LINE:]
        self._changed.set()


class Lines:
    """Hands on whole lines; a line without an end is cut, and the lab's own mark is left out."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Take in what came."""
        self._rest += data
        whole, newline, rest = self._rest.rpartition(b"\n")
        if len(rest) > _MAX_LINE:
            whole, newline, rest = whole + newline + rest, b"\n", b""
        self._rest = rest
        if newline and (text := _MARKED.sub(b"", whole + newline)):
            self._sink(text)

    def end(self) -> None:
        """Hand on what is left."""
        rest, self._rest = self._rest, b""
        if rest and not _MARKED.match(rest + b"\n"):
            self._sink(rest + b"\n")


@contextlib.contextmanager
def following(guest: Guest, wish: Wish, sink: Sink) -> Iterator[Live]:
    """Trace while the block runs, each line going to `sink` as it comes; switched off when the block is left.

    Errors as of `Ftrace.graph`; RequestError when function graphs are being recorded in that guest already.
    """
    ftrace = Ftrace(guest, f"lab-{secrets.token_hex(4)}")
    place = PLACE if wish.functions else f"{PLACE}/instances/{ftrace.instance}"
    pid = f"/run/lab/trace-{ftrace.instance}.pid"
    _begin(guest, ftrace, wish)
    live, drain = None, "now"
    try:
        off = ending(bool(wish.functions))
        live = Live(guest, ["sh", "-c", _READ, "sh", pid, place, off, ftrace.instance], sink, LONGEST)
        if not live.wait_said(lambda said: _READY in said, READY_DEADLINE * 8):
            raise LabError(f"the trace could not be read: {live.said.strip()[:300]}")
        yield live
        drain = "drain"
    finally:
        # A guest that died has nothing to be switched off.
        with contextlib.suppress(MachineLostError):
            guest.run(["sh", "-c", _STOP, "sh", pid, place, drain], check=False, deadline=_DRAIN_DEADLINE)
            lost, _ = ftrace.end_graph() if wish.functions else ftrace.end_events()
            if live is not None:
                live.finish(_DRAIN_DEADLINE)
                live.lost = lost


def _begin(guest: Guest, ftrace: Ftrace, wish: Wish) -> None:
    if wish.functions:
        if guest.run(["sh", "-c", _TAKE, "sh", PLACE], check=False).status == _BUSY:
            raise RequestError("function graphs are being recorded in this guest already", hint="end that trace first")
        begin, end = lambda: ftrace.begin_graph(wish.functions, wish.depth), ftrace.end_graph
    else:
        begin, end = lambda: ftrace.begin_events(wish.events), ftrace.end_events
    try:
        begin()
    except LabError:
        # Half of it may be on.
        with contextlib.suppress(LabError):
            end()
        raise
