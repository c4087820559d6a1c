"""Load that goes on while something else is done: the actor `busy`, whose workers' rounds are read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.errors import UnsupportedError

_WORKERS = 2  # a guest has as many CPUs


class Load:
    """The `load` fixture: in `with load(): ...` workers make calls a quarter of the time; `recorded.load` in
    results.jsonl has how many rounds."""

    def __init__(self, actor: Callable[..., dict[str, Any]], record: Callable[[str, object], None]) -> None:
        self._actor, self._record = actor, record

    @contextmanager
    def __call__(self, times: int = 1) -> Iterator[None]:
        """A block under load, which does so many times what it does. Less than a round for each worker and time was
        none to speak of, and that is unsupported."""
        started = self._actor("busy", "start", str(_WORKERS))
        # What fails in the block leaves the load to end with its machine.
        yield
        rounds = self._actor("busy", "stop", str(started["leader"]))["rounds"]
        self._record("load", {"workers": _WORKERS, "rounds": rounds, "times": times})
        if rounds < _WORKERS * times:
            raise UnsupportedError(
                f"too little load: in {times} times its {_WORKERS} workers made {rounds} rounds in all"
            )
