"""A person at a terminal, for commands that want one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Person:
    """Sees what a program shows on a terminal and types; `seen` is all that was shown."""

    program: subprocess.Popen[bytes]
    terminal: int
    seen: bytes = b""
    _looked: int = 0

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def wait_for(self, text: bytes, deadline: float = 120.0) -> None:
        """Wait until the terminal shows `text` behind what was waited for before."""
        end = time.monotonic() + deadline
        while text not in self.seen[self._looked :]:
            assert self._take(end - time.monotonic()), f"no {text!r} in {self.seen!r}"
        self._looked = self.seen.index(text, self._looked) + len(text)

    def leave(self, deadline: float = 60.0) -> int:
        """Wait for the program's end and return its exit status."""
        end = time.monotonic() + deadline
        while self.program.poll() is None and time.monotonic() < end:
            self._take(0.1)
        while self._take(0):
            pass
        return self.program.wait(max(0.1, end - time.monotonic()))

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.terminal)

    def _take(self, wait: float) -> bool:
        if not select.select([self.terminal], [], [], max(0.0, wait))[0]:
            return False
        try:
            data = os.read(self.terminal, 1 << 16)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self.seen += data
        return bool(data)


@contextlib.contextmanager
def person(argv: Sequence[str]) -> Iterator[Person]:
    """Start a program on a terminal of its own, and end it with the block."""
    ours, theirs = pty.openpty()
    try:
        program = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        with program:
            someone = Person(program, ours)
            try:
                yield someone
            finally:
                _end(program)
    finally:
        os.close(ours)
        os.close(theirs)


def _end(program: subprocess.Popen[bytes]) -> None:
    """Let it clean up, and do not wait for ever."""
    program.terminate()
    try:
        program.wait(30)
    except subprocess.TimeoutExpired:
        program.kill()
