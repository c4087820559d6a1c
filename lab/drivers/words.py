"""A consumer's last words, cut to what is to the point."""

from __future__ import annotations

import re
import signal

_BY_SIGNAL = 128  # as shells say it
_ENDED = re.compile(r"^lab: ended with status (\d+)$", re.MULTILINE)

_MOST_LINES, _MOST_LENGTH = 16, 400
# kernel/bpf/verifier.c: how a log ends, and the lines that only follow the program's course: instructions, registers,
# source lines, jumps, precision.
_VERDICT = re.compile(r"^(?:processed|verification time) \d+ ")
_COURSE = re.compile(
    r"^(?:\d+: |; |R\d+_?w?=|from \d+ to \d+|mark_precise|last_idx |regs=|parent |func#\d+ |caller:|callee:"
    r"|returning from callee|to caller at|propagating|stack=|safe$|Validating |live regs|\(\d+\) frame|frame\d+:)"
)


def how_it_ended(said: str) -> str:
    """A consumer's last words, and its status or the signal that ended it."""
    ended = _ENDED.search(said)
    status = int(ended[1]) if ended else -1
    words = trimmed(_ENDED.sub("", said)) or "it said nothing"
    if status - _BY_SIGNAL in signal.valid_signals():
        return f"signal {status - _BY_SIGNAL} ({signal.strsignal(status - _BY_SIGNAL)}): {words}"
    return f"status {status}: {words}" if status >= 0 else words


def trimmed(said: str) -> str:
    """The last lines of what was said. Of an eBPF verifier's log: why it refused, with the instruction before."""
    lines = [line.rstrip() for line in said.strip().splitlines() if line.strip()]
    if any(_VERDICT.match(line) for line in lines):
        lines = _without_course(lines)
    return "\n".join(line[:_MOST_LENGTH] for line in lines[-_MOST_LINES:])


def _without_course(lines: list[str]) -> list[str]:
    """What is no program's course, and the last line of a course before what is not."""
    kept = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not _COURSE.match(line) or (following and not _COURSE.match(following)):
            kept.append(line)
    return kept
