"""Frames: what a guest sends is taken to the byte, or refused with a reason; nothing else comes of it."""

from __future__ import annotations

import contextlib
import signal
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.machines import frames
from lab.machines.frames import BrokenFrameError, Decoder, Frame, Kind, Login, TooLongError, encode

LOGIN = Login({"PATH": "/bin"}, "/root", 0o022)


def test_frames_come_out_as_they_went_in_however_they_were_cut() -> None:
    sent = [Frame(Kind.STDOUT, 1, b"one"), Frame(Kind.STDERR, 65535, b""), Frame(Kind.EXIT, 2, bytes(4))]
    data = b"".join(encode(frame.kind, frame.number, frame.payload) for frame in sent)
    for size in range(1, len(data) + 1):
        decoder = Decoder()
        came = [frame for at in range(0, len(data), size) for frame in decoder.feed(data[at : at + size])]
        assert came == sent


def test_the_longest_frame_is_taken_and_a_longer_one_refused_by_its_header_alone() -> None:
    assert len(Decoder().feed(encode(Kind.STDOUT, 1, bytes(frames.MAX_PAYLOAD)))) == 1
    with pytest.raises(BrokenFrameError, match="a frame of 32761 bytes"):
        Decoder().feed(struct.pack("<IHH", frames.MAX_PAYLOAD + 1, Kind.STDOUT, 1))


@pytest.mark.parametrize("kind", [0, Kind.RUN, Kind.GREET, Kind.CLOCK, 63, 72, 65535])
def test_what_only_the_host_says_or_nobody_is_refused(kind: int) -> None:
    with pytest.raises(BrokenFrameError, match=f"unknown kind {kind}"):
        Decoder().feed(struct.pack("<IHH", 0, kind, 1))


@given(st.lists(st.binary(max_size=64)))
def test_no_bytes_raise_anything_else(parts: list[bytes]) -> None:
    decoder = Decoder()
    with contextlib.suppress(BrokenFrameError):
        for part in parts:
            for frame in decoder.feed(part):
                for read in (
                    frames.read_hello,
                    frames.read_number,
                    frames.read_failure,
                    frames.read_answer,
                    frames.read_status,
                ):
                    with contextlib.suppress(BrokenFrameError):
                        read(frame.payload)


@given(st.binary(max_size=40))
def test_no_payload_raises_anything_else(payload: bytes) -> None:
    for read in (frames.read_hello, frames.read_number, frames.read_failure, frames.read_answer, frames.read_status):
        with contextlib.suppress(BrokenFrameError):
            read(payload)


@given(st.integers(0, (1 << 32) - 1))
def test_no_status_raises_anything_else(status: int) -> None:
    with contextlib.suppress(BrokenFrameError):
        assert -65 < frames.read_status(struct.pack("<I", status)) < 256


@pytest.mark.parametrize(
    ("status", "meaning"), [(0, 0), (1 << 8, 1), (255 << 8, 255), (9, -signal.SIGKILL), (0x80 | 11, -signal.SIGSEGV)]
)
def test_an_end_is_an_exit_status_or_a_signal(status: int, meaning: int) -> None:
    assert frames.read_status(struct.pack("<I", status)) == meaning


@pytest.mark.parametrize("status", [0x7F, 0x137F, 0xFFFF, 1 << 16, 0x80, 1 << 31, 0x109])
def test_what_is_no_end_is_refused(status: int) -> None:
    with pytest.raises(BrokenFrameError, match="an end with status"):
        frames.read_status(struct.pack("<I", status))


def hello(magic: bytes = b"KLAB", version: int = frames.VERSION, commands: int = 32) -> bytes:
    return struct.pack("<4sHH16s", magic, version, commands, b"s" * 16)


def test_a_greeting_names_its_session() -> None:
    assert frames.read_hello(hello()) == frames.Hello(b"s" * 16, 32)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (hello(magic=b"HTTP"), "begins with b'HTTP'"),
        (hello(version=1), "version 1, where this lab speaks version 2"),
        (hello(commands=0), "runs 0 commands"),
        (hello(commands=2000), "runs 2000 commands"),
        (hello()[:-1], "a greeting of 23 bytes"),
    ],
)
def test_a_greeting_of_somebody_else_is_refused(payload: bytes, said: str) -> None:
    with pytest.raises(BrokenFrameError, match=said):
        frames.read_hello(payload)


def test_a_failure_is_an_errno() -> None:
    assert frames.read_failure(struct.pack("<II", 2, 1)) == (2, True)
    for error, program in ((0, 0), (4096, 0), (2, 2)):
        with pytest.raises(BrokenFrameError, match="a failure with"):
            frames.read_failure(struct.pack("<II", error, program))


def test_a_command_is_its_words_to_the_byte() -> None:
    frame = frames.encode_run(3, ["a b", "", "\udcff"], LOGIN)
    assert frame[8:] == struct.pack("<HHHH", 3, 1, 0o022, 0) + b"/root\0a b\0\0\xff\0PATH=/bin\0"


def test_a_command_that_does_not_fit_is_refused_with_its_size() -> None:
    room = frames.MAX_PAYLOAD - len(frames.encode_run(1, ["x", ""], LOGIN)) + 8
    assert len(frames.encode_run(1, ["x", "y" * room], LOGIN)) == 8 + frames.MAX_PAYLOAD
    with pytest.raises(TooLongError, match="may have 32760 bytes"):
        frames.encode_run(1, ["x", "y" * (room + 1)], LOGIN)


@pytest.mark.parametrize("argv", [[], ["a\0b"]])
def test_a_command_without_words_or_with_a_nul_is_the_callers_mistake(argv: list[str]) -> None:
    with pytest.raises(ValueError, match="needs words"):
        frames.encode_run(1, argv, LOGIN)


def test_an_answer_names_what_was_asked() -> None:
    assert frames.read_answer(struct.pack("<II", Kind.CLOCK, 1)) == (Kind.CLOCK, 1)
    assert frames.read_answer(struct.pack("<II", Kind.MACHINE_ID, 0)) == (Kind.MACHINE_ID, 0)


@pytest.mark.parametrize("payload", [b"", bytes(7), struct.pack("<II", Kind.RUN, 0), struct.pack("<II", 20, 0)])
def test_an_answer_to_what_cannot_be_asked_is_refused(payload: bytes) -> None:
    with pytest.raises(BrokenFrameError, match="an answer"):
        frames.read_answer(payload)
