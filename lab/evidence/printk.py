"""What a kernel said: records from /dev/kmsg or from a serial console. Both are a guest's words and may be anything."""

from __future__ import annotations

import re
from dataclasses import dataclass

# "6,339,5140900,-;text", further fields before the semicolon to be ignored (Documentation/ABI/testing/dev-kmsg).
_KMSG = re.compile(rb"(\d{1,10}),\d{1,20},(\d{1,20})(?:,[^;]*)?;(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
# printk's own form, "[%5lu.%06lu]", with the caller (thread or CPU) after it where CONFIG_PRINTK_CALLER is set.
_STAMP = re.compile(r"(?:<(\d{1,5})>)?\[ {0,11}(\d{1,11}\.\d{6})\](?: ?\[ {0,11}[TC]\d{1,11}\])? ?", re.ASCII)
_TERMINAL = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]?[@-~]|[@-Z\\-_a-z])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINE_ENDS = re.compile(r"[\r\n]+")
# The kernel's own lines have 2048 characters at most (PRINTKRB_RECORD_MAX); a longer one is not worth matching.
_MAX_TEXT = 4096


@dataclass(frozen=True)
class Record:
    """One line of the kernel log. `time` is in seconds since boot; None stands for what the source does not tell."""

    time: float | None
    level: int | None
    facility: int | None
    text: str


def parse_kmsg(data: bytes) -> list[Record]:
    """The records in what was read from /dev/kmsg; never raises.

    A printk of several lines becomes as many records. Lines beginning with a space are a record's properties
    (SUBSYSTEM=, DEVICE=), not its text, and are left out; so is a record whose beginning is missing.
    """
    records = []
    for line in data.split(b"\n"):
        found = _KMSG.match(line)
        if not found:
            continue
        prefix, microseconds, escaped = int(found[1]), int(found[2]), found[3]
        text = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), escaped).decode(errors="replace")
        for part in text.split("\n"):
            records.append(Record(microseconds / 1e6, prefix & 7, prefix >> 3, part[:_MAX_TEXT]))
    return records


def parse_console(data: bytes) -> list[Record]:
    """The lines of a serial console; never raises. Lines without a time stamp are kept, empty ones are not."""
    text = _CONTROL.sub("", _LINE_ENDS.sub("\n", _TERMINAL.sub("", data.decode(errors="replace"))))
    return [record for line in text.split("\n") for record in _console_line(line)]


def _console_line(line: str) -> list[Record]:
    line = line[:_MAX_TEXT]
    stamp = _STAMP.search(line)
    if stamp is None:
        return [Record(None, None, None, line)] if line.strip() else []
    prefix = int(stamp[1]) if stamp[1] else None
    level, facility = (None, None) if prefix is None else (prefix & 7, prefix >> 3)
    said = Record(float(stamp[2]), level, facility, line[stamp.end() :].rstrip())
    # A program that left its line open (a prompt, a progress bar) must not hide what the kernel said behind it.
    before = line[: stamp.start()]
    return [Record(None, None, None, before), said] if before.strip() else [said]
