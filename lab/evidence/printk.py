"""What a kernel said: records from /dev/kmsg and from a serial console, and both as one log. Both are a guest's words
and may be anything."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

# "6,339,5140900,-;text", further fields before the semicolon (Documentation/ABI/testing/dev-kmsg).
_KMSG = re.compile(rb"(\d{1,10}),(\d{1,20}),(\d{1,20})(?:,([^;,]*)((?:,[^;]*)?))?;(.*)", re.DOTALL)
_CALLER = re.compile(rb",caller=([TC]\d{1,11})(?:,|$)")
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
# printk's own form, "[%5lu.%06lu]", with the caller (thread or CPU) after it where CONFIG_PRINTK_CALLER is set.
_STAMP = re.compile(r"(?:<(\d{1,5})>)?\[ {0,11}(\d{1,11}\.\d{6})\](?: ?\[ {0,11}([TC]\d{1,11})\])? ?", re.ASCII)
_TERMINAL = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]?[@-~]|[@-Z\\-_a-z])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINE_ENDS = re.compile(r"[\r\n]+")
# The kernel's own lines have 2048 characters at most (PRINTKRB_RECORD_MAX); a longer one is not worth matching.
_MAX_TEXT = 4096
# How much of a console is looked at: its first and its last bytes. What floods it says the same again and again.
_MAX_HEAD, _MAX_TAIL = 4 << 20, 2 << 20
_CONTINUED = (b"c", b"+")


@dataclass(frozen=True)
class Record:
    """One line of the kernel log. `time` is in seconds since boot, `caller` the thread or CPU that said it ("T12",
    "C0"; empty where CONFIG_PRINTK_CALLER is not set), `sequence` its number in /dev/kmsg; None stands for what the
    source does not tell."""

    time: float | None
    level: int | None
    facility: int | None
    text: str
    caller: str = ""
    sequence: int | None = None


def parse_kmsg(data: bytes) -> list[Record]:
    """The records in what was read from /dev/kmsg; never raises.

    A printk of several lines becomes as many records, one that was said in pieces becomes one. Lines beginning with a
    space are a record's properties (SUBSYSTEM=, DEVICE=), not its text, and are left out; so is a record whose
    beginning is missing.
    """
    records: list[Record] = []
    last: dict[str, int] = {}  # where each caller's last record is
    for line in data.split(b"\n"):
        found = _KMSG.match(line)
        if not found:
            continue
        prefix, sequence, seconds = int(found[1]), int(found[2]), int(found[3]) / 1e6
        called = _CALLER.search(found[5] or b"")
        caller = called[1].decode() if called else ""
        text = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), found[6]).decode(errors="replace")
        begun = records[last[caller]] if found[4] in _CONTINUED and caller in last else None
        if begun is not None and prefix >> 3 == 0 == begun.facility:
            # Somebody else's record came between its pieces, or the kernel would have joined them itself.
            records[last[caller]] = replace(begun, text=(begun.text + text)[:_MAX_TEXT])
            continue
        for part in text.split("\n"):
            records.append(Record(seconds, prefix & 7, prefix >> 3, part[:_MAX_TEXT], caller, sequence))
        last[caller] = len(records) - 1
    return records


def parse_console(data: bytes) -> list[Record]:
    """The lines of a serial console; never raises. Lines without a time stamp are kept, empty ones are not.

    Of more than 6 MiB the first 4 and the last 2 are read.
    """
    if len(data) > _MAX_HEAD + _MAX_TAIL:
        data = data[:_MAX_HEAD] + b"\n" + data[-_MAX_TAIL:]
    text = _CONTROL.sub("", _LINE_ENDS.sub("\n", _TERMINAL.sub("", data.decode(errors="replace"))))
    return [record for line in text.split("\n") for record in _console_line(line)]


def _console_line(line: str) -> list[Record]:
    line = line[:_MAX_TEXT]
    stamp = _STAMP.search(line)
    if stamp is None:
        return [Record(None, None, None, line)] if line.strip() else []
    prefix = int(stamp[1]) if stamp[1] else None
    level, facility = (None, None) if prefix is None else (prefix & 7, prefix >> 3)
    said = Record(float(stamp[2]), level, facility, line[stamp.end() :].rstrip(), stamp[3] or "")
    # A program that left its line open (a prompt, a progress bar) must not hide what the kernel said behind it.
    before = line[: stamp.start()]
    return [Record(None, None, None, before), said] if before.strip() else [said]


def merged(kmsg: Sequence[Record], console: Sequence[Record]) -> list[Record]:
    """Both logs of one guest as one, in the order of time, nothing twice.

    What /dev/kmsg knows is taken from there, because it knows more of it. The console adds what came when nobody could
    read /dev/kmsg any more, and what others than the kernel printed there (without a time).
    """
    known: dict[int, list[str]] = defaultdict(list)
    rows: list[tuple[float, Record]] = []
    now = 0.0
    for record in kmsg:
        known[_moment(record.time or 0.0)].append(_plain(record.text))
        # A kernel's clock may be set back while it boots; its log is in order all the same.
        now = max(now, record.time or 0.0)
        rows.append((now, record))
    now = 0.0
    for record in console:
        now = max(now, record.time or 0.0)
        if record.time is None or not _take(known[_moment(record.time)], _plain(record.text)):
            rows.append((now, record))
    return [record for _, record in sorted(rows, key=lambda row: row[0])]


def since(records: Sequence[Record], moment: Record | float) -> list[Record]:
    """The records behind that one, or from that time on (seconds since boot).

    A record without a time counts as said when the one before it was. Of a record that is not among them any more (the
    kernel's buffer is a ring), its time counts.
    """
    if isinstance(moment, Record):
        places = [place for place, record in enumerate(records) if record == moment]
        if places:
            return list(records[places[-1] + 1 :])
        moment = moment.time or 0.0
    before = [place for place, record in enumerate(records) if record.time is not None and record.time < moment]
    return list(records[before[-1] + 1 :] if before else records)


def _moment(seconds: float) -> int:
    return round(seconds * 1e6)


def _plain(text: str) -> str:
    """A text as it looks once it has been through a terminal."""
    return _CONTROL.sub("", text).replace("\t", " ").strip()


def _take(texts: list[str], text: str) -> bool:
    """Take the text out of those of its moment; one that a program cut off on the console counts for the whole."""
    text = text.replace("\t", " ").strip()
    found = next((known for known in texts if known == text), None)
    if found is None:
        found = next((known for known in texts if known.startswith(text)), None)
    if found is None:
        return False
    texts.remove(found)
    return True
