"""The gdb remote protocol's packets: `$payload#checksum`, escapes, run lengths; pure and strict."""

from __future__ import annotations

from lab.errors import LabError

# QEMU says 4096 (PacketSize); run lengths may make more of it, within this.
LARGEST = 1 << 20
_ESCAPE, _XOR = 0x7D, 0x20
_SPECIAL = frozenset(b"$#}*")
_START, _END, _STAR = ord("$"), ord("#"), ord("*")


class ProtocolError(LabError):
    """The stub said what the protocol does not allow."""


def encode(payload: bytes) -> bytes:
    """The packet that carries `payload`."""
    body = bytearray()
    for byte in payload:
        body += bytes((_ESCAPE, byte ^ _XOR)) if byte in _SPECIAL else bytes((byte,))
    return b"$%b#%02x" % (bytes(body), sum(body) % 256)


class Decoder:
    """Takes a stub's bytes as they come; `feed` returns the payloads that became whole."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Whole packets' payloads, in order. Acknowledgements are passed over.

        ProtocolError when a checksum is wrong, when there is something between packets, or a packet has no end.
        """
        self._data += data
        found: list[bytes] = []
        while True:
            # '+' acknowledges. '-' would ask for a packet again, over a socket that loses nothing.
            while self._data[:1] == b"+":
                del self._data[0]
            if not self._data:
                return found
            if self._data[0] != _START:
                raise ProtocolError(f"the stub sent {bytes(self._data[:20])!r} where a packet begins")
            end = self._data.find(_END)
            if end < 0 or len(self._data) < end + 3:
                if len(self._data) > LARGEST:
                    raise ProtocolError(f"the stub sent a packet of more than {LARGEST >> 20} MiB")
                return found
            body, told = bytes(self._data[1:end]), bytes(self._data[end + 1 : end + 3])
            del self._data[: end + 3]
            if told.lower() != b"%02x" % (sum(body) % 256):
                raise ProtocolError(f"the stub's packet {body[:40]!r} has the checksum {told!r}, which is wrong")
            found.append(_expand(body))


def _expand(body: bytes) -> bytes:
    """A packet's content without escapes and run lengths (`0*"` is 0 followed by five more)."""
    out = bytearray()
    at = 0
    while at < len(body):
        byte = body[at]
        if byte == _ESCAPE:
            if at + 1 >= len(body):
                raise ProtocolError("the stub's packet ends within an escape")
            out.append(body[at + 1] ^ _XOR)
            at += 2
        elif byte == _STAR:
            count = body[at + 1] - 29 if at + 1 < len(body) else 0
            if not out or count < 3 or len(out) + count > LARGEST:
                raise ProtocolError("the stub's packet has a run length that means nothing")
            out += bytes((out[-1],)) * count
            at += 2
        else:
            out.append(byte)
            at += 1
    return bytes(out)


def unhex(text: bytes) -> bytes:
    """The bytes that pairs of hex digits mean; ProtocolError for anything else."""
    try:
        return bytes.fromhex(text.decode("ascii"))
    except (ValueError, UnicodeDecodeError) as error:
        raise ProtocolError(f"the stub sent {text[:40]!r} where hex digits belong") from error
