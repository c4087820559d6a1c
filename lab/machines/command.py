"""One command under way in a guest: what it was sent, what came of it, and how far either may go."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field

from lab.errors import CommandTimeoutError, LabError, MachineLostError
from lab.machines.frames import (
    FRAME_COST,
    OUTPUT_WINDOW,
    STDIN_WINDOW,
    BrokenFrameError,
    Frame,
    Kind,
    encode,
    encode_number,
    read_failure,
    read_number,
    read_status,
)
from lab.machines.result import Result, Sink

_MAX_OUTPUT = 64 << 20
_CHUNK = 16 << 10  # of input in one frame
_NOT_FOUND, _NOT_RUNNABLE = 127, 126  # as shells say it


@dataclass
class Command:
    """A command of the guest's agent; its user holds the agent's lock around each method.

    It is over with a `status` or a `failure` (errno, and whether the program itself would not run), or when it is
    `lost`: its agent did not live to tell.
    """

    number: int
    words: str
    rest: memoryview  # of its input, not sent yet
    credit: int = STDIN_WINDOW  # bytes of input that its agent still takes
    complete: bool = False  # it was told that no more input comes
    chunks: deque[Frame] = field(default_factory=deque)
    unread: int = 0  # what the guest sent of it and was not told to be taken
    taken: int = 0
    status: int | None = None
    failure: tuple[int, bool] | None = None
    lost: bool = False
    left: bool = False  # nobody waits for it any more

    def over(self) -> bool:
        """Whether nothing more comes from the guest."""
        return self.status is not None or self.failure is not None or self.lost

    def due(self) -> bool:
        """Whether there is something to do for who waits: something came, or more can be sent."""
        return bool(self.chunks) or self.over() or (len(self.rest) > 0 and self.credit > 0)

    def feed(self) -> bytes:
        """The frames of as much of the input as may be sent now."""
        frames = []
        while self.rest and self.credit and not self.over():
            part, self.rest = self.rest[: min(_CHUNK, self.credit)], self.rest[min(_CHUNK, self.credit) :]
            self.credit -= len(part)
            frames.append(encode(Kind.STDIN, self.number, part.tobytes()))
        if not self.rest and not self.complete:
            self.complete = True
            frames.append(encode(Kind.STDIN_END, self.number))
        return b"".join(frames)

    def receive(self, frame: Frame) -> None:
        """Take in what the guest says of it; BrokenFrameError when it must not."""
        match frame.kind:
            case Kind.STDOUT | Kind.STDERR:
                self.unread += len(frame.payload) + FRAME_COST
                if not frame.payload or self.unread > OUTPUT_WINDOW:
                    raise BrokenFrameError("more output than it may")
                if not self.left:
                    self.chunks.append(frame)
            case Kind.FED:
                self.credit += read_number(frame.payload)
                if self.credit > STDIN_WINDOW:
                    raise BrokenFrameError("that it took more input than there was")
            case Kind.STARTED:
                read_number(frame.payload)
            case Kind.FAILED:
                self.failure = read_failure(frame.payload)
            case Kind.EXIT:
                self.status = read_status(frame.payload)

    def take(self) -> list[Frame]:
        """The output that has come since."""
        frames = list(self.chunks)
        self.chunks.clear()
        self.taken += sum(len(frame.payload) + FRAME_COST for frame in frames)
        return frames

    def acknowledge(self) -> bytes:
        """The frame that lets the guest send on, when it is time for one."""
        if self.taken < OUTPUT_WINDOW // 2 or self.over():
            return b""
        taken, self.taken = self.taken, 0
        self.unread -= taken
        return encode_number(Kind.TAKEN, self.number, taken)

    def result(self, argv: tuple[str, ...], output: Output) -> Result:
        """What it came to; an error when it never ran, or nobody knows."""
        if self.lost:
            raise MachineLostError(
                f"the lab's agent in the guest was killed while {self.words} ran, so that nobody knows how it ended; "
                "the guest itself lives, and a new agent answers",
                hint="something in the guest killed lab-agent (kill -9 -1 does, too)",
            )
        if self.failure is None:
            assert self.status is not None, "the command runs"  # noqa: S101 - a caller's mistake
            return Result(argv, self.status, bytes(output.out), bytes(output.err))
        error, program = self.failure
        reason = os.strerror(error)
        if not program:
            raise LabError(f"the guest could not start {self.words}: {reason}")
        output.take(Frame(Kind.STDERR, self.number, f"{argv[0]}: {reason}\n".encode()))
        status = _NOT_FOUND if error == 2 else _NOT_RUNNABLE
        return Result(argv, status, bytes(output.out), bytes(output.err))


class Output:
    """Where a command's output goes: to sinks, or kept up to a bound."""

    def __init__(self, words: str, stdout: Sink | None, stderr: Sink | None) -> None:
        self.out, self.err = bytearray(), bytearray()
        self._words = words
        self._sinks = {Kind.STDOUT: stdout or self.out.extend, Kind.STDERR: stderr or self.err.extend}

    def take(self, frame: Frame) -> None:
        """Hand on what came; CommandTimeoutError when it is more than is kept."""
        self._sinks[frame.kind](frame.payload)
        if len(self.out) + len(self.err) > _MAX_OUTPUT:
            raise CommandTimeoutError(f"{self._words} printed more than {_MAX_OUTPUT >> 20} MiB")
