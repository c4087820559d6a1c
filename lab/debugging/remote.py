"""A client of the gdb remote protocol, for QEMU's stub: one connection, one question at a time, always a deadline."""

from __future__ import annotations

import re
import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.debugging.packets import Decoder, ProtocolError, encode, unhex
from lab.debugging.registers import Register, read_description
from lab.errors import CommandTimeoutError, LabError

ANSWER_DEADLINE = 20.0  # seconds of the clock: the stub is QEMU's, whatever the guest does
_CHUNK = 1024  # bytes of memory in one packet; QEMU's hold 4096 characters
_MOST_MEMORY = 64 << 20
_INTERRUPT = b"\x03"
_STOP = re.compile(rb"[TS]([0-9a-f]{2})")
_THREAD = re.compile(rb"thread:(?:p[0-9a-f]+\.)?([0-9a-f]+);")
_WATCH = re.compile(rb"(?:watch|rwatch|awatch):([0-9a-f]+);")
_NUMBER = re.compile(rb"(?:p[0-9a-f]+\.)?([0-9a-f]+)")
_MOST_CPUS = 1024


class StubError(LabError):
    """The stub refused what it was asked."""


@dataclass(frozen=True)
class StopReply:
    """Why the guest stands still: the signal's number (5: a breakpoint, 2: interrupted), on which CPU (from 0)."""

    signal: int
    cpu: int


class Remote:
    """A guest's CPUs and memory through the stub that listens at `path`. Connecting stops the guest."""

    def __init__(self, path: Path, *, deadline: float = ANSWER_DEADLINE) -> None:
        """StubError when nobody listens, or somebody else is connected already."""
        self._deadline = deadline
        self._decoder = Decoder()
        self._packets: list[bytes] = []
        self._acks = True
        self._cpu: int | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(deadline)
        try:
            self._socket.connect(str(path))
            self._begin()
        except (OSError, CommandTimeoutError) as error:
            self._socket.close()
            raise StubError(f"the gdb stub at {path.name} does not answer: {error}") from error
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up without detaching; safe to call twice."""
        self._socket.close()

    def _begin(self) -> None:
        # Without "multiprocess+": with it a plain D would leave the machine standing.
        self.ask(b"qSupported:swbreak+;hwbreak+")
        if self.ask(b"QStartNoAckMode") == b"OK":
            self._acks = False
        self.registers: dict[str, Register] = read_description(self._described)
        self.stopped: StopReply | None = self._stop_of(self.ask(b"?", stop=True))

    def _described(self, name: str) -> bytes:
        text = b""
        while True:
            part = self.ask(f"qXfer:features:read:{name}:{len(text):x},800".encode())
            if part[:1] not in (b"m", b"l") or len(text) > 1 << 20:
                raise ProtocolError(f"the stub has no description of its CPU ({name})")
            text += part[1:]
            if part[:1] == b"l":
                return text

    # Questions and answers

    def ask(self, question: bytes, *, stop: bool = False) -> bytes:
        """The stub's answer, empty when it does not know the question.

        A stop reply is an answer only to a question that has one (`stop`); a stub may send one unasked, when it is
        connected with, and every answer after it would be off by one.
        """
        self._send(encode(question))
        end = time.monotonic() + self._deadline
        while True:
            packet = self._receive(end)
            if packet is None:
                raise CommandTimeoutError(f"the gdb stub did not answer {question[:20]!r} in {self._deadline:g} s")
            if stop or not _STOP.match(packet):
                return packet

    def _demand(self, question: bytes, doing: str) -> None:
        answer = self.ask(question)
        if answer != b"OK":
            raise StubError(f"the gdb stub refuses {doing} ({answer.decode(errors='replace')[:40] or 'unknown to it'})")

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._deadline)
            self._socket.sendall(data)
        except OSError as error:
            raise StubError(f"the connection to the gdb stub broke: {error}") from error

    def _receive(self, end: float) -> bytes | None:
        """The next packet; None when it is later than `end` before there is one."""
        while not self._packets:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                return None
            try:
                data = self._socket.recv(1 << 16)
            except OSError as error:
                raise StubError(f"the connection to the gdb stub broke: {error}") from error
            if not data:
                raise StubError("the gdb stub hung up")
            came = self._decoder.feed(data)
            if self._acks and came:
                self._send(b"+" * len(came))
            self._packets += came
        return self._packets.pop(0)

    # Running and standing still

    def go(self) -> None:
        """Let all CPUs run."""
        self._resume(b"vCont;c")

    def step(self, cpu: int, deadline: float = ANSWER_DEADLINE) -> StopReply:
        """One instruction on one CPU, the others standing still; a breakpoint at it does not count."""
        self._resume(f"vCont;s:{cpu + 1:x}".encode())
        found = self.wait(deadline)
        if found is None:
            raise CommandTimeoutError(f"a single instruction took more than {deadline:g} s")
        return found

    def _resume(self, how: bytes) -> None:
        if self.stopped is None:
            raise StubError("the guest runs already", hint="wait for a stop, or interrupt it")
        self.stopped = None
        self._send(encode(how))

    def wait(self, deadline: float) -> StopReply | None:
        """Wait until the guest stands still, `deadline` seconds; None when it still runs then."""
        if self.stopped is None:
            packet = self._receive(time.monotonic() + deadline)
            if packet is None:
                return None
            self.stopped = self._stop_of(packet)
        return self.stopped

    def interrupt(self, deadline: float = ANSWER_DEADLINE) -> StopReply:
        """Stop the guest now; the same when it stands already."""
        if self.stopped is None:
            self._send(_INTERRUPT)
        found = self.wait(deadline)
        if found is None:
            raise CommandTimeoutError(f"the guest could not be stopped within {deadline:g} s")
        return found

    def detach(self) -> None:
        """Let the guest run on and hang up. Breakpoints must have been taken out before."""
        self._demand(b"D", "to detach")
        self.close()

    def _stop_of(self, packet: bytes) -> StopReply:
        match = _STOP.match(packet)
        if match is None:
            if packet[:1] in (b"W", b"X"):
                raise StubError("the guest's machine has ended")
            raise ProtocolError(f"the stub sent {packet[:40]!r} where a stop belongs")
        thread = _THREAD.search(packet)
        self._cpu = None
        return StopReply(int(match[1], 16), int(thread[1], 16) - 1 if thread else 0)

    # What there is to see

    def cpus(self) -> list[int]:
        """The CPUs' numbers, from 0."""
        found: list[int] = []
        answer = self.ask(b"qfThreadInfo")
        while answer[:1] == b"m":
            for word in answer[1:].split(b","):
                match = _NUMBER.fullmatch(word)
                if match is None or len(found) >= _MOST_CPUS:
                    raise ProtocolError(f"the stub's list of threads has {word[:40]!r}")
                found.append(int(match[1], 16) - 1)
            answer = self.ask(b"qsThreadInfo")
        if answer != b"l" or not found:
            raise ProtocolError("the stub's list of threads has no end")
        return found

    def select(self, cpu: int) -> None:
        """Registers, and memory as that CPU's page tables show it, are this CPU's from now on."""
        if self._cpu != cpu:
            self._demand(f"Hg{cpu + 1:x}".encode(), f"to look at CPU {cpu}")
            self._cpu = cpu

    def register(self, name: str) -> int:
        """The register's value; StubError when there is none of that name, or it is not available now."""
        register = self._known(name)
        answer = self.ask(f"p{register.number:x}".encode())
        if len(answer) != 2 * register.size:
            raise StubError(f"the gdb stub does not tell register {name}")
        return int.from_bytes(unhex(answer), "little")

    def set_register(self, name: str, value: int) -> None:
        """Write a register."""
        register = self._known(name)
        data = value.to_bytes(register.size, "little")
        self._demand(f"P{register.number:x}={data.hex()}".encode(), f"to write register {name}")

    def _known(self, name: str) -> Register:
        found = self.registers.get(name)
        if found is None:
            raise StubError(f"the guest's CPU has no register {name!r}", hint=", ".join(list(self.registers)[:40]))
        return found

    def general(self) -> dict[str, int]:
        """The general registers of the CPU, those that come in one packet."""
        data = unhex(self.ask(b"g").replace(b"x", b"0"))
        values, at = {}, 0
        for name, register in sorted(self.registers.items(), key=lambda item: item[1].number):
            if at + register.size > len(data):
                break
            values[name] = int.from_bytes(data[at : at + register.size], "little")
            at += register.size
        return values

    def read(self, address: int, size: int) -> bytes:
        """Memory at a virtual address; StubError when nothing is mapped there."""
        if not 0 <= size <= _MOST_MEMORY:
            raise StubError(f"{size} bytes of memory are too many for one look", hint="take a dump")
        data = b""
        while len(data) < size:
            count = min(_CHUNK, size - len(data))
            part = self.ask(f"m{address + len(data):x},{count:x}".encode())
            if part[:1] == b"E" and len(part) == 3:
                raise StubError(f"there is no memory at {address + len(data):#x}, as this CPU sees it")
            found = unhex(part)
            if not found or len(found) > count:
                raise ProtocolError(f"the stub sent {len(found)} bytes of memory for {count}")
            data += found
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write memory at a virtual address; StubError when nothing is mapped there."""
        for at in range(0, len(data), _CHUNK):
            part = data[at : at + _CHUNK]
            question = f"M{address + at:x},{len(part):x}:{part.hex()}".encode()
            self._demand(question, f"to write memory at {address + at:#x}: nothing is mapped there")

    def insert(self, address: int, size: int, *, hardware: bool = False) -> None:
        """Put a breakpoint there; `size` is the instruction's, as the architecture has it."""
        self._demand(f"Z{int(hardware)},{address:x},{size:x}".encode(), f"a breakpoint at {address:#x}")

    def remove(self, address: int, size: int, *, hardware: bool = False) -> None:
        """Take a breakpoint out."""
        self._demand(f"z{int(hardware)},{address:x},{size:x}".encode(), f"to take the breakpoint at {address:#x} out")
