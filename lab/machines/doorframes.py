"""What is said over a machine's door (door.py): frames of a kind, a length and a payload, both ways.

A visitor's first frame is an ASK: JSON, with what it wants in "do". STDIN frames may follow. The answer is any number
of STDOUT and STDERR, and one EXIT or FAILED at its end. Both sides are processes of one user on one host, and each
checks all the same what the other says.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

SOCKET = "door.sock"
MAX_PAYLOAD = 1 << 20
_HEADER = struct.Struct("<cI")


class Kind(StrEnum):
    """What a frame is; the last four are the machine's."""

    ASK = "a"
    STDIN = "i"
    STDOUT = "o"
    STDERR = "e"
    EXIT = "x"
    FAILED = "f"


class DoorError(Exception):
    """The other side said what is no frame, or closed the connection within one."""


def send(to: socket.socket, kind: Kind, payload: bytes = b"") -> None:
    """Send one frame, or, of output, as many as it takes."""
    for start in range(0, max(len(payload), 1), MAX_PAYLOAD):
        part = payload[start : start + MAX_PAYLOAD]
        to.sendall(_HEADER.pack(kind.encode(), len(part)) + part)


def send_json(to: socket.socket, kind: Kind, what: Mapping[str, Any]) -> None:
    send(to, kind, json.dumps(what).encode())


def receive(of: socket.socket) -> tuple[Kind, bytes] | None:
    """The next frame; None when the other side has closed the connection between two. OSError as of sockets."""
    header = _exactly(of, _HEADER.size)
    if not header:
        return None
    kind, length = _HEADER.unpack(header)
    if length > MAX_PAYLOAD or kind.decode(errors="replace") not in set(Kind):
        raise DoorError(f"a frame of kind {kind!r} and {length} bytes")
    payload = _exactly(of, length)
    if len(payload) < length:
        raise DoorError("half a frame")
    return Kind(kind.decode()), payload


def read_json(payload: bytes) -> dict[str, Any]:
    """The object in a frame."""
    try:
        found = json.loads(payload)
    except ValueError as error:
        raise DoorError(f"no JSON: {error}") from error
    if not isinstance(found, dict):
        raise DoorError("no JSON object")
    return found


def _exactly(of: socket.socket, size: int) -> bytes:
    """So many bytes; none at the stream's end. DoorError when it ends in between."""
    data = b""
    while len(data) < size:
        part = of.recv(size - len(data))
        if not part:
            if data:
                raise DoorError("half a frame")
            return b""
        data += part
    return data
