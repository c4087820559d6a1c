"""What a command in a guest came to."""

from __future__ import annotations

import signal
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

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        if self.status >= 0:
            return f"ended with status {self.status}"
        name = signal.strsignal(-self.status) if -self.status in signal.valid_signals() else None
        return f"was ended by signal {-self.status}" + (f" ({name})" if name else "")
