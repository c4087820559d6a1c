"""What a command in a guest came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Takes what a command prints, as it comes.
Sink = Callable[[bytes], None]


@dataclass(frozen=True)
class Result:
    """A command that ended in a guest. `status` is -N when signal N ended it, as subprocess has it; 127 and 126 when
    there is no such program or it cannot be run, as shells have it. `stdout` and `stderr` are the guest's bytes,
    untrusted."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")
