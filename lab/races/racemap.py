"""Which moments mislead a driver: every call at every moment, in machines of one cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from lab.debugging.debugger import NoStopError
from lab.debugging.symbols import NoSymbolError, Symbols, symbols_once
from lab.drivers.capture import Events
from lab.errors import LabError
from lab.machines.machine import Machine
from lab.matrix.forks import Forks, started
from lab.matrix.provision import Lab, Prepared
from lab.races.judge import Answer, Point, judge
from lab.races.race import SOURCE, Made, Race
from lab.races.subjects import subject
from lab.races.windows import Window

_GONE = "when it succeeds, its memory is gone by then: nobody can change it, or be misled by it"


class RaceMap:
    """Races on one cell, which has a driver. `tell` is told what each call came to."""

    def __init__(self, lab: Lab, prepared: Prepared, tell: Callable[[str], None]) -> None:
        self._lab = lab
        self._prepared = prepared
        self._tell = tell
        self._forks = Forks(lab)
        self._symbols: dict[str, Symbols] = {}

    def run(self, names: Sequence[str], windows: Sequence[Window], repeat: int) -> list[Point]:
        """Each call at each moment `repeat` times, each call in a machine of its own.

        LabError when the driver dropped events meanwhile, or does not tell whether it did.
        """
        found = []
        for name in names:
            points = self._call(name, windows, repeat)
            answers = ", ".join(f"{window} {_summed(points, window)}" for window in windows)
            self._tell(f"{name}: {answers}")
            found += points
        return found

    def _call(self, name: str, windows: Sequence[Window], repeat: int) -> list[Point]:
        with ExitStack() as stack:

            def made(machine: Machine) -> None:
                stack.callback(machine.end)

            machine = started(self._lab, self._forks, self._prepared, "race-map", made)
            events = Events(self._lab.deploy(machine, self._prepared))
            race = Race(machine, lambda: symbols_once(machine, self._symbols), self._program)
            with events.capture() as seen:
                calls = [one for window in windows for one in _made(race, name, window, repeat)]
            try:
                return [judge(one, seen) if isinstance(one, Made) else one for one in calls]
            except AssertionError as error:
                raise LabError(f"{name}: {error}", hint="what is missing proves nothing then: run it again") from error

    def _program(self) -> bytes:
        return self._lab.program(SOURCE, self._prepared.cell.arch).read_bytes()


def _made(race: Race, name: str, window: Window, repeat: int) -> Iterator[Made | Point]:
    """The calls, or a point that says why this one cannot be made."""
    if window not in subject(name).windows:
        yield Point(name, window, Answer.UNSUPPORTED, why=_GONE)
        return
    for _ in range(repeat):
        try:
            yield race.call(name, at=window)
        except (NoSymbolError, NoStopError) as error:
            yield Point(name, window, Answer.UNSUPPORTED, why=error.sentence)
            return


def _summed(points: Sequence[Point], window: Window) -> str:
    return "/".join(dict.fromkeys(point.answer for point in points if point.window == window))
