"""A gdb stub that is none: answers packets from a table, over a unix socket, as QEMU's does."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from lab.debugging.packets import Decoder, encode

CORE = b"""<?xml version="1.0"?><!DOCTYPE feature SYSTEM "gdb-target.dtd"><feature name="org.gnu.gdb.i386.core">
<reg name="rip" bitsize="64" type="code_ptr"/><reg name="rsp" bitsize='64' type="data_ptr" regnum="7"/>
<reg name="rbp" bitsize="64"/></feature>"""
TARGET = b'<?xml version="1.0"?><target><architecture>i386:x86-64</architecture><xi:include href="core.xml"/></target>'


class FakeStub:
    """`answers` are payloads by question, a callable is asked; None: silence. `heard` are all questions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[bytes] = []
        self.greeting = b""
        self.answers: dict[bytes, bytes | None] = {
            b"?": b"T05thread:01;",
            b"qfThreadInfo": b"m01,02",
            b"qsThreadInfo": b"l",
            b"D": b"OK",
        }
        self.memory: dict[int, bytes] = {}
        self.registers: dict[int, int] = {0: 0x1000, 7: 0x2000, 8: 0x3000}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._side: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, raw: bytes) -> None:
        """Send bytes as they are, unasked."""
        assert self._side is not None
        self._side.sendall(raw)

    def end(self) -> None:
        for end in (self._side, self._listener):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        for end in (self._side, self._listener):
            if end is not None:
                end.close()

    def _serve(self) -> None:
        try:
            self._side, _ = self._listener.accept()
            self._side.sendall(self.greeting)
            decoder = Decoder()
            while data := self._side.recv(1 << 16):
                for question in decoder.feed(data.replace(b"\x03", b"")):
                    self.heard.append(question)
                    answer = self._answer(question)
                    if answer is not None:
                        self._side.sendall(b"+" + encode(answer))
                if b"\x03" in data:
                    self.heard.append(b"interrupt")
                    self._side.sendall(encode(b"T02thread:02;"))
        except OSError:
            return

    def _answer(self, question: bytes) -> bytes | None:
        if question in self.answers:
            return self.answers[question]
        if question.startswith(b"qXfer:features:read:"):
            return b"l" + (TARGET if b":target.xml:" in question else CORE)
        if question[:1] == b"p":
            return self.registers[int(question[1:], 16)].to_bytes(8, "little").hex().encode()
        if question[:1] == b"m":
            return self._read(*(int(word, 16) for word in question[1:].split(b",")))
        if question[:1] in (b"H", b"Z", b"z", b"P", b"M"):
            return b"OK"
        return None if question.startswith(b"vCont") else b""

    def _read(self, address: int, size: int) -> bytes:
        for start, data in self.memory.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size].hex().encode()
        return b"E14"
