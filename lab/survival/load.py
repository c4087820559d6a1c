"""Load that goes on while something else is done: the actor `busy`, whose workers' rounds are read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.errors import UnsupportedError

_WORKERS = 2  # a guest has as many CPUs


class Load:
    """The `load` fixture: in `with load(): ...` workers make calls a quarter of the time."""

    def __init__(self, actor: Callable[..., dict[str, Any]]) -> None:
        self._actor = actor

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """A block under load. If its workers came to nothing there was none, and that is unsupported."""
        started = self._actor("busy", "start", str(_WORKERS))
        # What fails in the block leaves the load to end with its machine.
        yield
        rounds = self._actor("busy", "stop", str(started["leader"]))["rounds"]
        if rounds < _WORKERS:
            raise UnsupportedError(f"there was no load: its {_WORKERS} workers made {rounds} rounds in all")
