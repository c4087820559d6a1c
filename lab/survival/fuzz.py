"""System calls by chance: the actor `fuzz_calls`, run as often as it takes to make so many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

_ONCE = 5000  # calls of one run, which has to end within a command's time
_SECONDS = 8  # after which a run ends however few it made, in the guest's time
# A run that ends by its time made fewer, so that more runs are needed; so many times more at most.
_PATIENCE = 2


class Fuzz:
    """The `fuzz` fixture: `fuzz("wild", 1000)`; how many were made stands in results.jsonl, `recorded.fuzz`."""

    def __init__(
        self,
        actor: Callable[..., dict[str, Any]],
        bound: Callable[[], str],
        seed: int,
        record: Callable[[str, object], None],
    ) -> None:
        self._actor, self._bound, self._seed, self._record = actor, bound, seed, record

    def __call__(self, how: Literal["wild", "tame"], calls: int) -> None:
        """Make them by every entry path of the architecture: `wild` with numbers and arguments at and beyond every
        edge, `tame` calls that there are, with arguments of 32 bits. AssertionError if few of them came about."""
        # A cgroup of the guest's, without which such calls are the end of it.
        group = self._bound()
        made, entries = 0, Counter[str]()
        for number in range(_PATIENCE * -(-calls // _ONCE)):
            if made >= calls:
                break
            asked = min(calls - made, _ONCE)
            done = self._actor("fuzz_calls", str(self._seed + number), str(asked), str(_SECONDS), group, how)
            assert done["calls"] >= min(asked, 100), f"no more calls were made than {done}"  # noqa: S101 - as a scenario's
            made += done["calls"]
            entries.update(done["entries"])
        self._record("fuzz", {"how": how, "seed": self._seed, "asked": calls, "calls": made, "entries": dict(entries)})
        idle = [name for name, count in entries.items() if not count]
        assert made < _ONCE or not idle, f"by no {', '.join(idle)} calls were made: {dict(entries)}"  # noqa: S101
        assert made >= calls // 4, f"of {calls} calls were made {made}"  # noqa: S101
