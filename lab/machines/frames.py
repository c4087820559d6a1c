"""The frames that host and guest exchange over the guest's control port (images/programs/lab-agent-frames.h has both
sides' rules). What a guest sends is hostile: every length and kind is checked before it means anything."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

VERSION = 2
MAX_PAYLOAD = (1 << 15) - 8
# How much of a command's input, or output, may be under way or lie unread, in bytes.
STDIN_WINDOW = 64 << 10
OUTPUT_WINDOW = 256 << 10
# What a frame counts for in a window beside its payload: many small ones cost the host memory, too.
FRAME_COST = 8
MAX_COMMANDS = 1024  # of what an agent may say that it runs at once

_HEADER = struct.Struct("<IHH")
_HELLO = struct.Struct("<4sHH16s")
_RUN = struct.Struct("<HHHH")
_NUMBER = struct.Struct("<I")
_FAILURE = struct.Struct("<II")
_CLOCK = struct.Struct("<Q")
_ANSWER = struct.Struct("<II")
_MAGIC = b"KLAB"


class Kind(IntEnum):
    """What a frame is; from 64 on the guest's."""

    START = 1
    RUN = 2
    STDIN = 3
    STDIN_END = 4
    KILL = 5
    TAKEN = 6
    GREET = 7
    CLOCK = 16
    ENTROPY = 17
    HOST_NAME = 18
    MACHINE_ID = 19
    HELLO = 64
    STARTED = 65
    FAILED = 66
    STDOUT = 67
    STDERR = 68
    FED = 69
    EXIT = 70
    DONE = 71


class BrokenFrameError(Exception):
    """The guest sent what is no frame, or a frame that it must not send; the text completes "the agent sent ..."."""


class TooLongError(Exception):
    """A command does not fit into a frame."""


@dataclass(frozen=True)
class Frame:
    """One frame: `number` is its command's."""

    kind: Kind
    number: int
    payload: bytes


@dataclass(frozen=True)
class Hello:
    """An agent's first words: its session, and how many commands it runs at once."""

    session: bytes
    commands: int


@dataclass(frozen=True)
class Login:
    """What a command starts with."""

    environment: Mapping[str, str]
    folder: str
    umask: int


class Decoder:
    """Turns a guest's bytes into frames; never holds more than one frame and what it was just fed."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes; BrokenFrameError when there can be none."""
        data = self._rest + data
        frames, place = [], 0
        while len(data) - place >= _HEADER.size:
            length, kind, number = _HEADER.unpack_from(data, place)
            if length > MAX_PAYLOAD:
                raise BrokenFrameError(f"a frame of {length} bytes")
            if kind < Kind.HELLO or kind > Kind.DONE:
                raise BrokenFrameError(f"a frame of the unknown kind {kind}")
            start = place + _HEADER.size
            if len(data) - start < length:
                break
            frames.append(Frame(Kind(kind), number, data[start : start + length]))
            place = start + length
        self._rest = data[place:]
        return frames


def encode(kind: Kind, number: int = 0, payload: bytes = b"") -> bytes:
    """A frame as it is sent."""
    return _HEADER.pack(len(payload), kind, number) + payload


def encode_number(kind: Kind, number: int, value: int) -> bytes:
    """A frame that holds one number."""
    return encode(kind, number, _NUMBER.pack(value))


def encode_clock(nanoseconds: int) -> bytes:
    """The frame that sets a guest's clock to so many nanoseconds since the epoch."""
    return encode(Kind.CLOCK, payload=_CLOCK.pack(nanoseconds))


def encode_run(number: int, argv: Sequence[str], login: Login) -> bytes:
    """The frame that starts a command; TooLongError when its words are too many, ValueError for a word with a NUL."""
    words = [login.folder, *argv, *(f"{name}={value}" for name, value in login.environment.items())]
    data = [os.fsencode(word) for word in words]
    if not argv or any(b"\0" in word for word in data):
        raise ValueError("a command needs words, and none with a NUL in it")
    text = b"".join(word + b"\0" for word in data)
    if _RUN.size + len(text) > MAX_PAYLOAD:
        raise TooLongError(f"a command's words may have {MAX_PAYLOAD} bytes and this one's have {len(text)}")
    return encode(Kind.RUN, number, _RUN.pack(len(argv), len(login.environment), login.umask, 0) + text)


def read_hello(payload: bytes) -> Hello:
    """What a HELLO says; BrokenFrameError when it is of another version, or none."""
    if len(payload) != _HELLO.size:
        raise BrokenFrameError(f"a greeting of {len(payload)} bytes")
    magic, version, commands, session = _HELLO.unpack(payload)
    if magic != _MAGIC:
        raise BrokenFrameError(f"a greeting that begins with {magic!r}")
    if version != VERSION:
        raise BrokenFrameError(f"frames of version {version}, where this lab speaks version {VERSION}")
    if not 0 < commands <= MAX_COMMANDS:
        raise BrokenFrameError(f"that it runs {commands} commands at once")
    return Hello(session, commands)


def read_number(payload: bytes) -> int:
    """The number that a frame holds."""
    if len(payload) != _NUMBER.size:
        raise BrokenFrameError(f"a number of {len(payload)} bytes")
    return int(_NUMBER.unpack(payload)[0])


def read_failure(payload: bytes) -> tuple[int, bool]:
    """An errno, and whether it is the program itself that would not run."""
    if len(payload) != _FAILURE.size:
        raise BrokenFrameError(f"a failure of {len(payload)} bytes")
    error, program = _FAILURE.unpack(payload)
    if not 0 < error < 4096 or program > 1:
        raise BrokenFrameError(f"a failure with error {error}")
    return error, bool(program)


def read_answer(payload: bytes) -> tuple[Kind, int]:
    """What was asked of the agent, and the errno with which it failed, 0 when it did not."""
    if len(payload) != _ANSWER.size:
        raise BrokenFrameError(f"an answer of {len(payload)} bytes")
    kind, error = _ANSWER.unpack(payload)
    if not Kind.CLOCK <= kind <= Kind.MACHINE_ID or not 0 <= error < 4096:
        raise BrokenFrameError(f"an answer to {kind} with error {error}")
    return Kind(kind), error


def read_status(payload: bytes) -> int:
    """How a process ended: its exit status, or -N when signal N ended it (the form of subprocess)."""
    status = read_number(payload)
    exited, signalled = status & ~0xFF00 == 0, status & ~0xFF == 0 and 0 < status & 0x7F < 65
    if exited or signalled:
        return os.waitstatus_to_exitcode(status)
    raise BrokenFrameError(f"an end with status {status:#x}")
