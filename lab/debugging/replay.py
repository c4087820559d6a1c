"""A recording replayed to its end, with snapshots on the way from which gdb goes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from lab.debugging.recording import Recording
from lab.errors import MachineLostError
from lab.machines.rewound import Mode, Rewound

_REPLAY_DEADLINE = 1800.0  # of the clock, for all of it
# Before the end, in instructions: from there a step back takes a moment.
_LAST = 1_000_000
_PIECES = 4
# QEMU takes no snapshot while a request of the guest's disk is under way.
_NOT_NOW = "Try once more later"
_TRIES = 20
_FURTHER = 20_000


@contextlib.contextmanager
def replayed(recording: Recording, notice: Callable[[str], None]) -> Iterator[Rewound]:
    """The recorded guest, standing still shortly before its end, for as long as the block lasts.

    MachineLostError when the replay does not follow the recording.
    """
    notice("replaying it; gdb goes back by reverse-stepi, reverse-continue and their like")
    with Rewound(recording.spec, recording.qemu, recording.folder, Mode.REPLAY, "lab debug --rr") as machine:
        for number, point in enumerate(snapshot_points(recording.begun, recording.ended)):
            _run_to(machine, point)
            _save(machine, f"snapshot{number}", recording.ended)
        _run_to(machine, recording.ended)
        yield machine


def snapshot_points(begun: int, ended: int) -> list[int]:
    """Where snapshots are made: at the command's beginning, from there on in even distances, and before the end."""
    span = ended - begun
    points = {begun + span * piece // _PIECES for piece in range(_PIECES)} | {ended - _LAST}
    return sorted(point for point in points if 0 < point < ended - _TRIES * _FURTHER - 1)


def _run_to(machine: Rewound, instruction: int) -> None:
    if machine.instructions() >= instruction:
        return
    machine.monitor.execute("replay-break", {"icount": instruction})
    machine.go()
    if not machine.wait_stopped(_REPLAY_DEADLINE) or machine.instructions() != instruction:
        at = machine.instructions()
        raise MachineLostError(
            f"the replay did not follow the recording: it stands at instruction {at} and not at {instruction}",
            hint="record it again",
        )


def _save(machine: Rewound, name: str, end: int) -> None:
    """Make a snapshot here or soon; none while the guest waits for its disk: the one before serves too."""
    for _ in range(_TRIES):
        said = machine.human(f"savevm {name}")
        if _NOT_NOW not in said:
            break
        _run_to(machine, min(machine.instructions() + _FURTHER, end))
    if said and _NOT_NOW not in said:
        raise MachineLostError(f"QEMU made no snapshot of the replay: {said[:200]}", hint="record it again")
