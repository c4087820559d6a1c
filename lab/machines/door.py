"""A machine's door: a socket in its folder at which other processes of the same user ask for what only the machine's
own process can give, because it holds the guest's ports: commands in the guest, keys for its console, its release."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.machines.doorframes import SOCKET, DoorError, Kind, read_json, receive, send, send_json
from lab.machines.result import Result
from lab.machines.sockets import short_name

MAX_STDIN = 1 << 20
_MAX_VISITORS = 32
_ASK_DEADLINE = 10.0
_MAX_SECONDS = 86400.0
_PEER = struct.Struct("=iII")  # pid, uid, gid: SO_PEERCRED


@dataclass(frozen=True)
class Services:
    """What a machine does for visitors. `run(argv, seconds, stdin, stdout, stderr, gone)` runs a command, `seconds` of
    the clock; `look` makes a command that waits look whether its visitor is `gone`; `type` sends keys to the console;
    `release` lets the machine go that is kept; `put(path, file)` puts a file of the host into the guest."""

    run: Callable[..., Result]
    look: Callable[[], None]
    type: Callable[[bytes], None]
    release: Callable[[], None]
    put: Callable[[str, Path], None]


@dataclass(frozen=True)
class _Visit:
    """One visitor: its connection and what it asked for."""

    connection: socket.socket
    ask: Mapping[str, Any]
    data: bytes
    gone: threading.Event


class Door:
    """Serves visitors, each in a thread of its own, until it is closed."""

    def __init__(self, folder: Path, services: Services) -> None:
        self._services = services
        self._room = threading.BoundedSemaphore(_MAX_VISITORS)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_name(folder / SOCKET) as name:
            self._socket.bind(name)
        self._socket.listen(_MAX_VISITORS)
        self._thread = threading.Thread(target=self._serve, name="lab-door", daemon=True)
        self._thread.start()

    def close(self, deadline: float = 5.0) -> None:
        """Let nobody in any more; what visitors run ends with the machine. Safe to call twice."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(deadline)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if not _is_ours(connection) or not self._room.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._receive, args=(connection,), name="lab-visitor", daemon=True).start()

    def _receive(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError, DoorError):
                connection.settimeout(_ASK_DEADLINE)
                visit = _read(connection)
                watcher = threading.Thread(target=self._watch, args=(visit,), name="lab-visitor-gone", daemon=True)
                watcher.start()
                try:
                    self._answer(visit)
                finally:
                    connection.shutdown(socket.SHUT_RDWR)
                    watcher.join()
        finally:
            self._room.release()

    def _watch(self, visit: _Visit) -> None:
        """Notice that a visitor hangs up, or that we do."""
        poll = select.poll()
        poll.register(visit.connection, select.POLLRDHUP)
        poll.poll()
        visit.gone.set()
        self._services.look()

    def _answer(self, visit: _Visit) -> None:
        try:
            match visit.ask.get("do"):
                case "run":
                    self._run(visit)
                case "put":
                    self._put(visit)
                case "type":
                    self._services.type(visit.data)
                    send_json(visit.connection, Kind.EXIT, {"status": 0})
                case "release":
                    self._services.release()
                    send_json(visit.connection, Kind.EXIT, {"status": 0})
                case other:
                    raise DoorError(f"the request {other!r}")
        except LabError as error:
            failed = {"what": error.what, "hint": error.hint}
            send_json(visit.connection, Kind.FAILED, failed)
        except DoorError as error:
            send_json(visit.connection, Kind.FAILED, {"what": f"the machine was asked for {error}", "hint": ""})

    def _put(self, visit: _Visit) -> None:
        path, file = visit.ask.get("path"), visit.ask.get("file")
        if not isinstance(path, str) or not isinstance(file, str) or not Path(file).is_absolute():
            raise DoorError(f"a file {file!r} for {path!r}")
        self._services.put(path, Path(file))
        send_json(visit.connection, Kind.EXIT, {"status": 0})

    def _run(self, visit: _Visit) -> None:
        argv, seconds = visit.ask.get("argv"), visit.ask.get("seconds")
        if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
            raise DoorError("a command without words")
        if not isinstance(seconds, int | float) or not 0 < seconds <= _MAX_SECONDS:
            raise DoorError(f"a command of {seconds!r} seconds")
        # A visitor that does not read is waited for as long as its command may take.
        visit.connection.settimeout(seconds)
        done = self._services.run(
            argv,
            seconds,
            stdin=visit.data,
            stdout=lambda data: send(visit.connection, Kind.STDOUT, data),
            stderr=lambda data: send(visit.connection, Kind.STDERR, data),
            gone=visit.gone.is_set,
        )
        send_json(visit.connection, Kind.EXIT, {"status": done.status})


def _is_ours(connection: socket.socket) -> bool:
    """Whether the visitor is our own user. The folder lets nobody else in; this is said where it is decided."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(credentials)[1]) == os.getuid()


def _read(connection: socket.socket) -> _Visit:
    """What a visitor asks for, and the data that it said it would send along."""
    first = receive(connection)
    if first is None or first[0] is not Kind.ASK:
        raise DoorError("nothing")
    ask = read_json(first[1])
    size = ask.get("data", 0)
    if not isinstance(size, int) or not 0 <= size <= MAX_STDIN:
        raise DoorError(f"{size!r} bytes of data")
    data = b""
    while len(data) < size:
        frame = receive(connection)
        if frame is None or frame[0] is not Kind.STDIN or not frame[1]:
            raise DoorError("less data than was announced")
        data += frame[1]
    return _Visit(connection, ask, data[:size], threading.Event())
