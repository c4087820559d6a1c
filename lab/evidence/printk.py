"""The kernel's log as records, from /dev/kmsg or from the serial console. Both are untrusted input."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Documentation/ABI/testing/dev-kmsg: "level|facility,sequence,microseconds,flags[,...];text", then " KEY=value" lines.
_KMSG = re.compile(rb"(\d+),\d+,(\d+),[^;]*;(.*)", re.DOTALL)
# "[    5.140900][   T12] text": time, then the caller where the kernel prints it (CONFIG_PRINTK_CALLER).
_CONSOLE = re.compile(r"\[\s*(\d+\.\d+)\](?:\[\s*[TC]\d+\])? ?(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_MAX_TEXT = 4096


@dataclass(frozen=True)
class Record:
    """One line of the log. `time` is in seconds since the guest's boot, `level` 0 (emergency) to 7 (debug)."""

    time: float | None
    level: int | None
    facility: int | None
    text: str


def parse_kmsg(data: bytes) -> list[Record]:
    """Records as /dev/kmsg gives them; what is no record is left out, as are a record's dictionary lines."""
    records = []
    for line in data.split(b"\n"):
        match = _KMSG.fullmatch(line)
        if match is None or line.startswith(b" "):
            continue
        priority, microseconds = int(match[1]), int(match[2])
        text = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), match[3])
        records.append(Record(microseconds / 1e6, priority & 7, priority >> 3, _text(text)))
    return records


def parse_console(data: bytes) -> list[Record]:
    """Records as the serial console shows them; lines without a time stamp are kept with none."""
    records = []
    for line in data.replace(b"\r", b"\n").split(b"\n"):
        text = _text(line)
        if not text.strip():
            continue
        match = _CONSOLE.fullmatch(text)
        records.append(Record(float(match[1]) if match else None, None, None, match[2] if match else text))
    return records


def _text(data: bytes) -> str:
    return data[:_MAX_TEXT].decode(errors="replace")
