"""Questions to a guest that may hang: all of them together take no longer than a bound."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lab.errors import LabError
from lab.machines.machine import Machine
from lab.machines.result import Result

# Seconds on hardware, for all that a bundle asks, and for one question.
_ALL, _ONE = 8.0, 3.0
# With one that has hung already.
SHORT = 1.0
_MAX_ANSWER = 16 << 20


class Asking:
    """Asks a machine for evidence. A guest that once did not answer is asked nothing more; `why` then says why."""

    def __init__(self, machine: Machine, patience: float = _ONE) -> None:
        """Wait for each answer for `patience` seconds on hardware."""
        self._machine = machine
        self._patience = patience
        self._end = time.monotonic() + machine.scaled(_ALL)
        self.why = "" if machine.alive() else "The guest no longer answers."

    def ask(self, argv: Sequence[str]) -> Result | None:
        """What the command came to, whatever its status; None when the guest does not answer any more."""
        left = (self._end - time.monotonic()) / self._machine.scaled(1.0)
        if not self.why and left <= 0:
            self.why = "The time for evidence was over."
        if self.why:
            return None
        try:
            done = self._machine.run(argv, check=False, deadline=min(self._patience, left))
        except LabError as error:
            self.why = f"The guest no longer answers: {error.what.splitlines()[0]}"
            return None
        return Result(done.argv, done.status, done.stdout[:_MAX_ANSWER], done.stderr[: 1 << 16])
