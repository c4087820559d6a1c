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
from lab.evidence.tasknames import Nameless, read_saved
from lab.machines.result import Sink

LONGEST = 3600.0  # seconds on hardware
READY_DEADLINE = 120.0  # of the clock
_DRAIN_DEADLINE = 20.0
_READY = b"lab: tracing"
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
    """A trace under way, its lines going to a sink.

    Known at its end: `lost` entries found no room, `names` are those of tasks that some line does not name, by pid.
    """

    def __init__(self, guest: Guest, argv: Sequence[str], sink: Sink, seconds: float, *, ready: bytes) -> None:
        """Start it: `argv` in the guest prints the lines for at most `seconds` on hardware.

        It traces when it has said a line that begins with `ready`, on either stream, which is not handed on.
        """
        self.lost = 0
        self.names: dict[int, str] = {}
        self.nameless = Nameless()
        self.status: int | None = None
        self._guest = guest
        self._argv = argv
        self._seconds = seconds
        self._ready = threading.Event()
        self._sink = sink
        self._lines = Lines(self._hand_on, ready, self._ready.set)
        self._words = Lines(self._hear, ready, self._ready.set)
        self._said = b""
        self._fault: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="lab-trace", daemon=True)
        self._thread.start()

    def wait_ready(self, seconds: float) -> bool:
        """Wait, `seconds` of the clock, until it traces; False when it does not, or ended before."""
        found = self._ready.wait(seconds)
        self.check()
        return found and not (self._ended.is_set() and self.status != 0)

    def wait(self, seconds: float) -> bool:
        """Wait for the trace's own end, `seconds` of the clock; returns whether it came, or raises what went wrong."""
        ended = self._ended.wait(seconds)
        self.check()
        return ended

    def check(self) -> None:
        """Raise what went wrong with it."""
        if self._fault is not None:
            raise self._fault

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
                self._argv, check=False, deadline=self._seconds, stdout=self._lines.take, stderr=self._words.take
            )
            self.status = done.status
        except BaseException as error:
            self._fault = error  # told by who waits for it
        finally:
            self._words.end()
            self._ended.set()
            self._ready.set()

    def _hand_on(self, lines: bytes) -> None:
        self.nameless.take(lines)
        self._sink(lines)

    def _hear(self, data: bytes) -> None:
        self._said = (self._said + data)[-_MAX_LINE:]


class Lines:
    """Hands on whole lines, a line without an end being cut. The lab's own mark is left out, and so is the line that
    begins with `ready`, for which `found` is called."""

    def __init__(self, sink: Sink, ready: bytes, found: Callable[[], None]) -> None:
        self._sink = sink
        self._ready = ready
        self._found = found
        self._waits = True
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Take in what came."""
        self._rest += data
        whole, newline, rest = self._rest.rpartition(b"\n")
        if len(rest) > _MAX_LINE:
            whole, newline, rest = whole + newline + rest, b"\n", b""
        self._rest = rest
        if newline:
            self._hand_on(whole + newline)

    def end(self) -> None:
        """Hand on what is left."""
        rest, self._rest = self._rest, b""
        if rest:
            self._hand_on(rest + b"\n")

    def _hand_on(self, text: bytes) -> None:
        if self._waits:
            lines = text.splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith(self._ready)]
            if len(kept) < len(lines):
                self._waits = False
                self._found()
            text = b"".join(kept)
        if text := _MARKED.sub(b"", text):
            self._sink(text)


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
        argv = ["sh", "-c", _READ, "sh", pid, place, off, ftrace.instance]
        live = Live(guest, argv, sink, LONGEST, ready=_READY)
        if not live.wait_ready(READY_DEADLINE):
            raise LabError(f"the trace could not be read: {live.said.strip()[:300]}")
        yield live
        drain = "drain"
    finally:
        # A guest that died has nothing to be switched off.
        with contextlib.suppress(MachineLostError):
            guest.run(["sh", "-c", _STOP, "sh", pid, place, drain], check=False, deadline=_DRAIN_DEADLINE)
            saved = guest.run(["cat", f"{PLACE}/saved_cmdlines"], check=False).text
            lost = _end(ftrace, wish)
            if live is not None:
                live.finish(_DRAIN_DEADLINE)
                live.lost, live.names = lost, read_saved(saved, live.nameless.pids)


def _begin(guest: Guest, ftrace: Ftrace, wish: Wish) -> None:
    if wish.functions and guest.run(["sh", "-c", _TAKE, "sh", PLACE], check=False).status == _BUSY:
        raise RequestError("function graphs are being recorded in this guest already", hint="end that trace first")
    try:
        if wish.functions:
            ftrace.begin_graph(wish.functions, wish.depth)
        else:
            ftrace.begin_events(wish.events)
    except LabError:
        # Half of it may be on.
        with contextlib.suppress(LabError):
            _end(ftrace, wish)
        raise


def _end(ftrace: Ftrace, wish: Wish) -> int:
    """Switch it off; returns how many entries were lost."""
    lost, _ = ftrace.end_graph() if wish.functions else ftrace.end_events()
    return lost
