"""Splats: what a kernel prints when something is wrong with it."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import RequestError
from lab.evidence.printk import Record

# Kind and pattern, matched at the start of a record's text, so that a program that prints "foo BUG:" is none. The
# first that fits names the splat. Prefixes: syzkaller's pkg/report/linux.go, LISA's serial_console.py, the kernel.
_KINDS: tuple[tuple[str, str], ...] = (
    ("panic", r"Kernel panic - not syncing|PANIC: double fault|rust_kernel: panicked"),
    ("KASAN", r"BUG: KASAN"),
    ("KCSAN", r"BUG: KCSAN"),
    ("KMSAN", r"BUG: KMSAN"),
    ("KFENCE", r"BUG: KFENCE"),
    ("UBSAN", r"UBSAN:"),
    ("soft lockup", r"(watchdog: )?BUG: soft lockup"),
    ("hard lockup", r"(watchdog: )?(Watchdog detected hard LOCKUP|BUG: hard lockup|NMI watchdog: Watchdog)"),
    ("RCU stall", r"(rcu: )?INFO: rcu_\w+ (self-)?detected .*stall|rcu: \w+ kthread (starved|timer)"),
    ("hung task", r"INFO: task .* blocked for more than"),
    ("scheduling while atomic", r"BUG: scheduling while atomic"),
    ("sleeping in atomic context", r"BUG: sleeping function called from invalid context"),
    (
        "lockdep",
        r"WARNING: (possible (circular|recursive|irq lock inversion)|suspicious RCU|inconsistent lock|bad unlock)",
    ),
    ("lockdep", r"WARNING: .*(lock order|lock held|locks? still held)"),
    ("list corruption", r"list_(add|del) corruption|slab .*list_(add|del) corruption"),
    ("refcount", r"refcount_t: "),
    ("leaked objects", r"(BUG \S+.*: )?Objects remaining in|kmemleak: \d+ new suspected memory leaks|BUG kmalloc-"),
    ("page allocation failure", r"\S+: page allocation failure"),
    ("oops", r"BUG: (unable to handle|kernel NULL pointer)|Oops[: ]|Unable to handle kernel|Internal error:"),
    ("oops", r"general protection fault|traps: PANIC|int3:|divide error:|invalid opcode:|stack segment:"),
    ("oops", r"Unhandled fault:|Alignment trap:|Bad mode in|SError Interrupt"),
    ("BUG", r"kernel BUG at|Kernel BUG|BUG: "),
    ("WARNING", r"WARNING: "),
    ("leaked device", r"unregister_netdevice: waiting for|VFS: Busy inodes"),
)
_CUT = "------------[ cut here ]------------"
_END = re.compile(r"---\[ end ")
_REBOOT = "Linux version "
_MAX_LINES = 60
# How many records after its first still belong to a splat that has no end mark and shows a trace.
_TRACE = re.compile(
    r" |Call Trace|Call trace|RIP: |RSP: |R\w\w: |CPU: |Hardware name|Modules linked|Code: |Tainted|CR2|pc : "
)


@dataclass(frozen=True)
class Splat:
    """One incident: its kind, its first telling line, all its lines, and when (seconds since boot)."""

    kind: str
    title: str
    lines: tuple[str, ...]
    time: float | None


@dataclass(frozen=True)
class Allowed:
    """A line that is no splat, until a date and for a reason."""

    pattern: re.Pattern[str]
    reason: str
    until: datetime.date


def find_splats(records: Sequence[Record]) -> list[Splat]:
    """Every incident in the log, in order. An incident that prints several telling lines is one."""
    splats: list[Splat] = []
    boots = 0
    index = 0
    while index < len(records):
        text = records[index].text
        boots += text.startswith(_REBOOT)
        if text.startswith(_REBOOT) and boots == 2:
            splats.append(Splat("unexpected reboot", text, (text,), records[index].time))
        kind = classify(text)
        if kind is None and text.strip() != _CUT:
            index += 1
            continue
        length = _extent(records, index)
        splats += _incident(records[index : index + length])
        index += length
    return splats


def classify(text: str) -> str | None:
    """The kind of splat that a record begins, None for an innocent one."""
    for kind, pattern in _KINDS:
        if re.match(pattern, text):
            return kind
    return None


def unexpected(splats: Iterable[Splat], today: datetime.date | None = None) -> list[Splat]:
    """The splats that allowed.toml does not excuse today."""
    allowed = load_allowed(Path(__file__).parent / "allowed.toml")
    day = today or datetime.datetime.now(datetime.UTC).date()
    return [splat for splat in splats if not any(_excuses(line, splat, day) for line in allowed)]


def load_allowed(path: Path) -> list[Allowed]:
    """The lines that are allowed; RequestError says what is wrong with the file."""
    try:
        rows = tomllib.loads(path.read_text()).get("allowed", [])
        return [Allowed(re.compile(row["pattern"]), row["reason"], row["until"]) for row in rows]
    except (OSError, tomllib.TOMLDecodeError, KeyError, re.error) as error:
        raise RequestError(f"{path} cannot be read: {error}", hint="correct the file") from error


def _excuses(line: Allowed, splat: Splat, day: datetime.date) -> bool:
    return day <= line.until and line.pattern.search(splat.title) is not None


def _extent(records: Sequence[Record], start: int) -> int:
    """How many records the incident that begins at `start` has."""
    window = [record.text for record in records[start : start + _MAX_LINES]]
    for offset, text in enumerate(window):
        if _END.match(text):
            return offset + 1
    for offset, text in enumerate(window[1:], start=1):
        if not _TRACE.match(text) and classify(text) is None:
            return offset
    return len(window)


def _incident(records: Sequence[Record]) -> list[Splat]:
    lines = tuple(record.text for record in records)
    for text in lines:
        kind = classify(text)
        if kind is not None:
            return [Splat(kind, text, lines, records[0].time)]
    return [Splat("WARNING", lines[0], lines, records[0].time)]
