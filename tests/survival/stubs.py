"""A guest that says what a test has it say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from lab.machines.machine import Machine
from lab.machines.result import Result


class Saying:
    """Answers each command with the next of its texts; `asked` are the commands."""

    def __init__(self, *texts: str, status: int = 0) -> None:
        self._texts = list(texts)
        self._status = status
        self.asked: list[Sequence[str]] = []

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        self.asked.append(argv)
        return Result(tuple(argv), self._status, self._texts.pop(0).encode(), b"")

    def scaled(self, seconds: float) -> float:
        return seconds


def saying(*texts: str, status: int = 0) -> Machine:
    return cast(Machine, Saying(*texts, status=status))
