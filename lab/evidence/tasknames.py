"""The names of tasks that a trace does not name: the kernel saves a task's when it switches away from it, and a trace
that is read as it comes shows "<...>-191" until then (Documentation/trace/ftrace.rst, saved_cmdlines)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAMELESS = re.compile(rb"<\.\.\.>-(\d{1,10})\b")
_SAVED = re.compile(r"^\s*(?P<pid>\d{1,10}) (?P<comm>.{1,64})$", re.MULTILINE)
_MOST = 4096
NAMELESS = "<...>"


class Nameless:
    """Which tasks some lines do not name; the first few thousand of them."""

    def __init__(self) -> None:
        self.pids: set[int] = set()

    def take(self, text: bytes) -> None:
        """Take in whole lines."""
        if len(self.pids) < _MOST:
            self.pids.update(int(pid) for pid in _NAMELESS.findall(text))


def read_saved(text: str, pids: Iterable[int]) -> dict[int, str]:
    """The names of these tasks in the text of saved_cmdlines ("191 cat"), a line a task, by process id."""
    wanted = set(pids)
    saved = {int(found["pid"]): found["comm"].strip() for found in _SAVED.finditer(text)}
    return {pid: saved[pid] for pid in sorted(wanted & saved.keys()) if saved[pid] != NAMELESS}
