"""Tapes: what a scenario's fixtures answered, so that its body can be run again without a machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.drivers.capture import Capture
from lab.errors import ConsumerError, LabError

Alter = Callable[[str, Any], Any]
CAPTURE = "events.capture"


class TapeError(LabError):
    """A body did not ask on replay what it asked when it was recorded: it depends on something else."""


@dataclass(frozen=True)
class _Answer:
    method: str
    result: Any
    raised: BaseException | None


class Tape:
    """Answers in their order. Recording until `replay`, which plays them back, each through `alter`."""

    def __init__(self) -> None:
        self._answers: list[_Answer] = []
        self._playing: Iterator[_Answer] | None = None
        self._alter: Alter = _unaltered
        self.changed = False

    @contextmanager
    def replay(self, alter: Alter | None = None) -> Iterator[None]:
        """Within the block, what was recorded is answered again. `changed` tells whether `alter` found its object."""
        self._playing, self._alter, self.changed = iter(self._answers), alter or _unaltered, False
        try:
            yield
        finally:
            self._playing = None

    @property
    def replaying(self) -> bool:
        return self._playing is not None

    def record(self, method: str, result: Any, raised: BaseException | None = None) -> None:
        self._answers.append(_Answer(method, result, raised))

    def play(self, method: str) -> Any:
        """The next answer, which must be this method's."""
        answer = next(self._playing or iter(()), None)
        if answer is None or answer.method != method:
            was = answer.method if answer else "nothing more"
            raise TapeError(f"on replay the scenario asked for {method}, where {was} was recorded")
        if answer.raised is not None and method != CAPTURE:
            raise answer.raised
        recorded = answer.result if answer.raised is None else answer.raised
        result = self._alter(method, recorded)
        self.changed |= result is not recorded
        if isinstance(result, BaseException):
            raise result
        return result


class Taped:
    """A fixture whose methods go onto a tape, or come from it. Attributes that are no methods pass through."""

    def __init__(self, target: Any, tape: Tape, name: str) -> None:
        self._target, self._tape, self._name = target, tape, name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._target, attribute)
        return functools.partial(self._call, attribute, value) if callable(value) else value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("call", self._target, *args, **kwargs)

    def _call(self, attribute: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        method = f"{self._name}.{attribute}"
        if self._tape.replaying:
            return self._tape.play(method)
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self._tape.record(method, None, error)
            raise
        self._tape.record(method, result)
        return result


class TapedEvents(Taped):
    """The `events` fixture on tape: a capture is filled when its block ends.

    One whose consumer was found dead or silent then is on tape too: what a scenario does to a driver may end it."""

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        if self._tape.replaying:
            capture = Capture()
            yield capture
            vars(capture).update(vars(self._tape.play(CAPTURE)))
            return
        done = False
        try:
            with self._target.capture() as live:
                yield live
                done = True
        except ConsumerError as error:
            if done:
                self._tape.record(CAPTURE, None, error)
            raise
        self._tape.record(CAPTURE, live)


def _unaltered(_: str, result: Any) -> Any:
    return result
