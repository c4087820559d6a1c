"""What can go wrong, in a few kinds; each says what happened and what to do next."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of the `lab` commands (docs/reference.md)."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    HOST_LACKS = 3
    MACHINE_LOST = 4
    RUN_FAILED = 125


class LabError(Exception):
    """Anything the lab can explain. `what` is one sentence, `hint` the next step, `log` where to read more."""

    exit_code = ExitCode.CHECK_FAILED

    def __init__(self, what: str, *, hint: str = "", log: Path | None = None) -> None:
        super().__init__(what, hint, log)
        self.what = what
        self.hint = hint
        self.log = log

    @property
    def sentence(self) -> str:
        """What happened, without what was quoted below it."""
        return self.what.partition("\n")[0]

    def __str__(self) -> str:
        parts = [self.what]
        if self.hint:
            parts.append(f"Next: {self.hint}")
        if self.log is not None:
            parts.append(f"Log: {self.log}")
        return "\n".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by calling their class with `args`, which keywords do not survive.
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[LabError], args: tuple[Any, ...], state: dict[str, Any]) -> LabError:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


class RequestError(LabError):
    """The user asked for something that does not exist or cannot be read."""

    exit_code = ExitCode.USAGE


class HostError(LabError):
    """The host lacks something; `hint` is the command that mends it."""

    exit_code = ExitCode.HOST_LACKS


class NoSpaceError(HostError):
    """The disk is full."""


class ArchiveError(LabError):
    """An archive could not be reached, or what it gave could not be verified."""


class BuildError(LabError):
    """A driver, an actor or an image could not be built."""


class LoadError(LabError):
    """A driver was built but did not load, or its check failed."""


class ConsumerError(LabError):
    """A driver's consumer died, fell silent, or said what its adapter cannot read."""


class CommandTimeoutError(LabError):
    """A command in a guest passed its deadline while the guest itself went on living."""


class MachineLostError(LabError):
    """A guest died or hung: its verdict is never a pass and never a failure of the driver."""

    exit_code = ExitCode.MACHINE_LOST


class KnownGapError(LabError):
    """A driver did not build, as its manifest says: an expected failure."""


class UnsupportedError(LabError):
    """A cell cannot run by its nature: the reason is the verdict."""
