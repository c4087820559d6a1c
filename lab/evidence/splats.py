"""What a kernel complained about, found in its log: one splat for each incident.

Patterns are anchored where a record's text begins, so that a program that prints "foo BUG: bar" is none. They follow
syzkaller's pkg/report and the formats in lib/bug.c, kernel/panic.c, kernel/locking/lockdep.c and arch/*/kernel/traps.c.
"""

from __future__ import annotations

import datetime
import functools
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.errors import RequestError
from lab.evidence.details import Details, read_details
from lab.evidence.printk import Record

_MAX_LINES = 120
_MAX_INCIDENTS = 500  # of a flood, whose later ones say nothing new
_GAP = 2.0  # seconds of kernel time: what comes later does not belong to an incident any more
_CUT_HERE = "cut here"
_REBOOT = "unexpected reboot"
_PANIC = "panic"
_OOPS = "oops"
_BUG = "BUG"
_KASAN = "KASAN"
_KCSAN = "KCSAN"
_LIST = "list corruption"
_NETDEVICE = "leaked device"
_LEAKED = "leaked objects"

_PREFIX = re.compile(r"(?:NMI )?watchdog: |rcu: |workqueue: |\[ (?=BUG|INFO)")
# The first that matches names the kind.
_STARTS = (
    (_CUT_HERE, re.compile(r"-+\[ cut here \]")),
    (
        _PANIC,
        re.compile(
            r"Kernel panic - not syncing|(?:traps: )?PANIC: (?:double fault|early exception)|rust_kernel: panicked"
        ),
    ),
    (_KASAN, re.compile(r"(?:BUG: )?KASAN: ")),
    ("KFENCE", re.compile(r"BUG: KFENCE")),
    ("KMSAN", re.compile(r"BUG: KMSAN")),
    (_KCSAN, re.compile(r"BUG: KCSAN")),
    ("UBSAN", re.compile(r"UBSAN: ")),
    ("soft lockup", re.compile(r"BUG: soft lockup")),
    ("hard lockup", re.compile(r"Watchdog detected hard LOCKUP")),
    ("scheduling while atomic", re.compile(r"BUG: scheduling while atomic")),
    ("sleeping in atomic context", re.compile(r"BUG: sleeping function called")),
    ("RCU stall", re.compile(r"INFO: rcu\w* .*(?:detected|stall)")),
    ("hung task", re.compile(r"INFO: task .+ blocked .*for more than")),
    (
        "lockdep",
        re.compile(
            r"(?:WARNING|INFO|BUG): (?:possible (?:circular|recursive|irq|deadlock)|inconsistent lock state"
            r"|suspicious RCU usage|bad (?:unlock|contention)|held lock freed|lock held when|\S+-safe -> \S+-unsafe"
            r"|Nested lock was not taken|.+ has locks held|trying to register non-static key|Invalid wait context)"
        ),
    ),
    (_LIST, re.compile(r"list_(?:add|del)(?:_\w+)? (?:corruption|double add)")),
    ("refcount", re.compile(r"refcount_t: ")),
    (
        _LEAKED,
        re.compile(
            r"(?:BUG .+: )?Objects remaining |kmem_cache_destroy .+: Slab cache still has objects"
            r"|VFS: Busy inodes after|kmemleak: (?:\d+ new suspected|unreferenced object)"
        ),
    ),
    ("page allocation failure", re.compile(r".{1,32}: page allocation failure")),
    (_NETDEVICE, re.compile(r"unregister_netdevice: waiting for")),
    (
        _OOPS,
        re.compile(
            r"Oops(?:[:\s]|$)|Internal error: |Unable to handle kernel|kernel tried to execute|general protection fault"
            r"|stack segment|divide error: |invalid opcode: |int3: |Unhandled (?:fault: |\d+-bit )|Bad mode in "
            r"|SError Interrupt on|Insufficient stack space|BUG: (?:unable to handle|kernel NULL pointer)"
        ),
    ),
    (_BUG, re.compile(r"BUG: |BUG \S+ \(|[kK]ernel BUG")),
    ("WARNING", re.compile(r"WARNING: (?:CPU: |\S+:\d+ at )")),  # the second form since 6.18
)
_END = re.compile(r"---\[ end ")
_RULE = re.compile(r"={10,}$")
_BANNER = "Linux version "
# What a line of one kind may still be part of: an oops follows the line that says why it happened, KASAN explains an
# address after an oops, data corruption is told before the BUG() that it ends in, and objects come one after the other.
_FOLLOWS = (
    (_OOPS, (_OOPS, _BUG, _KASAN)),
    (_KASAN, (_OOPS,)),
    (_CUT_HERE, (_LIST,)),
    (_LEAKED, (_LEAKED,)),
)


@dataclass(frozen=True)
class Splat:
    """One incident: `title` is the line that names it, `time` seconds since boot (None: not told). `note` says why a
    line that was allowed once is none any more, `located` holds its parts with lines of source, where somebody looked
    them up (symbols.py)."""

    kind: str
    title: str
    lines: tuple[str, ...]
    time: float | None
    note: str = field(default="", compare=False)
    located: Details | None = field(default=None, compare=False, repr=False)

    @functools.cached_property
    def details(self) -> Details:
        """Its parts: task, CPU, function, call trace."""
        return self.located or read_details(self.title, self.lines)

    def summary(self) -> str:
        """It in one line: "oops: BUG: ... in do_it+0x4/0x10 [driver] (driver.c:9) by cat (pid 12)"."""
        parts = self.details
        place = f" in {parts.culprit}" if parts.culprit else ""
        who = f" by {parts.comm} (pid {parts.pid})" if parts.comm and parts.pid is not None else ""
        return f"{self.kind}: {self.title}{place}{who}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True)
class Allowed:
    """Splats whose title `pattern` is found in are expected, for a reason, through the day `until`."""

    pattern: re.Pattern[str]
    reason: str
    until: datetime.date


@dataclass
class _Incident:
    kind: str
    title: str
    time: float | None
    last: float | None
    cut_here: bool
    lines: list[str] = field(default_factory=list)

    def splat(self) -> Splat:
        return Splat(self.kind, self.title, tuple(self.lines), self.time)


def find_splats(records: Iterable[Record]) -> list[Splat]:
    """The incidents in a kernel log, in order; an incident's lines end at its end mark, or are 120 at most; of a
    flood the first 500 are told."""
    found: list[_Incident] = []
    current: _Incident | None = None
    boots = 0
    for record in records:
        if record.facility:  # not the kernel's: a program wrote it to /dev/kmsg
            continue
        text = record.text.strip()
        kind = _kind(text)
        if text.startswith(_BANNER) and record.time == 0.0:
            boots += 1
            kind = _REBOOT if boots > 1 else ""
        if current and (_is_later(current, record) or (kind and not _belongs(current, kind))):
            current = None
        if current is None:
            if not kind:
                continue
            if len(found) == _MAX_INCIDENTS:
                break
            current = _Incident(kind, text, record.time, record.time, kind == _CUT_HERE)
            found.append(current)
        elif kind:
            _name(current, kind, text)
        current = _gather(current, record)
    return [incident.splat() for incident in found]


def load_allowed(path: Path) -> list[Allowed]:
    """The list of what is expected: [[allowed]] tables of pattern, reason and until (a date).

    RequestError when the file is missing, cannot be read, or lacks a word of this: a scanner with half a list lies.
    """
    try:
        with path.open("rb") as stream:
            tables = tomllib.load(stream).get("allowed", [])
        return [_allowed(table) for table in tables]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise RequestError(
            f"{path} cannot be used: {type(error).__name__}: {error}",
            hint='each [[allowed]] has pattern = "a regular expression", reason = "why", until = 2030-12-31',
        ) from error


def unexpected(
    splats: Iterable[Splat], today: datetime.date | None = None, *, allowed: Sequence[Allowed] | None = None
) -> list[Splat]:
    """The splats that are not allowed; `allowed` is the lab's own list (allowed.toml) unless given."""
    if allowed is None:
        allowed = load_allowed(Path(__file__).with_name("allowed.toml"))
    day = today or datetime.datetime.now(datetime.UTC).date()
    found = []
    for splat in splats:
        entries = [entry for entry in allowed if entry.pattern.search(splat.title)]
        if not any(day <= entry.until for entry in entries):
            found.append(replace(splat, note=_expired(entries)) if entries else splat)
    return found


def _expired(entries: Sequence[Allowed]) -> str:
    last = max(entries, key=lambda entry: entry.until)
    return f"allowed until {last.until}, and no longer: {last.reason}"


def _kind(text: str) -> str:
    """What a line is the beginning of, or nothing."""
    prefix = _PREFIX.match(text)
    rest = text[prefix.end() :] if prefix else text
    return next((kind for kind, pattern in _STARTS if pattern.match(rest)), "")


def _is_later(incident: _Incident, record: Record) -> bool:
    return record.time is not None and incident.last is not None and abs(record.time - incident.last) > _GAP


def _belongs(incident: _Incident, kind: str) -> bool:
    """Whether a line of this kind is part of the incident, rather than the beginning of another."""
    if kind in (_PANIC, _REBOOT):
        return False
    if incident.cut_here:
        return kind != _CUT_HERE
    return any(kind == later and incident.kind in earlier for later, earlier in _FOLLOWS)


def _name(incident: _Incident, kind: str, text: str) -> None:
    """The first telling line after "cut here" names the incident."""
    if kind == _CUT_HERE:
        incident.cut_here = True
    elif incident.kind == _CUT_HERE:
        incident.kind, incident.title = kind, text


def _gather(incident: _Incident, record: Record) -> _Incident | None:
    """Add the record's line; None when the incident is complete with it."""
    incident.lines.append(record.text.rstrip())
    incident.last = record.time if record.time is not None else incident.last
    ended = _END.match(record.text) or (incident.kind in (_KASAN, _KCSAN) and _RULE.match(record.text))
    single = incident.kind in (_NETDEVICE, _REBOOT)
    return None if ended or single or len(incident.lines) >= _MAX_LINES else incident


def _allowed(table: dict[str, object]) -> Allowed:
    pattern, reason, until = table["pattern"], table["reason"], table["until"]
    if not isinstance(pattern, str) or not pattern:
        raise ValueError("a pattern is a text that is not empty")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"{pattern!r} has no reason")
    if not isinstance(until, datetime.date) or isinstance(until, datetime.datetime):
        raise ValueError(f"{pattern!r} has no date in until")
    return Allowed(re.compile(pattern), reason, until)
