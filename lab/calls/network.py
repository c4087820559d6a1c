"""Calls that deal with sockets."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Any

from lab.calls.spec import Call, Step, Variant, variants
from lab.calls.words import Arg, data, flags, null, number, result, unreadable

# include/linux/net.h, the same everywhere
_STREAM, _DATAGRAM, _CLOEXEC, _NONBLOCK = 1, 2, 0o2000000, 0o4000
_MSG_NOSIGNAL = 0x4000
_SUN_PATH = 108
_LISTENING, _PEER, _FREE, _REFUSED, _DATAGRAMS = 4100, 4101, 4102, 4103, 4104

Address = tuple[bytes, tuple[tuple[str, Any], ...]]


def ip(address: str, port: int) -> Address:
    """struct sockaddr_in or sockaddr_in6, and what is to be reported of it."""
    known = ipaddress.ip_address(address)
    told = (("address", address), ("port", port))
    if known.version == 4:
        return struct.pack("=H2s4s8x", socket.AF_INET, struct.pack(">H", port), known.packed), told
    return struct.pack("=H2sI16sI", socket.AF_INET6, struct.pack(">H", port), 0, known.packed, 0), told


def local(path: bytes) -> Address:
    """struct sockaddr_un; a path that begins with NUL is an abstract name."""
    return struct.pack("=H", socket.AF_UNIX) + path + (b"" if path.startswith(b"\0") else b"\0"), (("path", path),)


def _given(address: Address) -> tuple[Arg, Arg]:
    """The two arguments of an address."""
    return data(address[0], *address[1]), number(len(address[0]))


def _socket(label: str, family: int = socket.AF_INET, kind: int = _STREAM) -> Step:
    return Step("socket", (number(family), number(kind | _CLOEXEC), number(0)), label=label)


def _bound(label: str, address: Address, family: int = socket.AF_INET, kind: int = _STREAM) -> tuple[Step, ...]:
    return (_socket(label, family, kind), Step("bind", (result(label), *_given(address))))


def _listening(label: str, address: Address, family: int = socket.AF_INET) -> tuple[Step, ...]:
    return (*_bound(label, address, family), Step("listen", (result(label), number(8))))


_SERVER, _SERVER6 = ip("127.0.0.1", _LISTENING), ip("::1", _LISTENING)
_UNIX, _ODD_UNIX, _ABSTRACT = local(b"/work/socket"), local(b"/work/s-\xff\xfe\xc3"), local(b"\0abstract")
_LONG_UNIX = local(b"/work/" + b"s" * (_SUN_PATH - 1 - len(b"/work/")))
_FD = result("socket", "fd")


def _sockets() -> Iterator[Variant]:
    kind = number(_STREAM | _CLOEXEC, "socktype")
    yield from variants("socket", number(socket.AF_INET, "domain"), kind, number(6, "protocol"))
    six = (number(socket.AF_INET6, "domain"), number(_DATAGRAM, "socktype"), number(17, "protocol"))
    yield Variant("IPv6", Step("socket", six))
    unix = (number(socket.AF_UNIX, "domain"), kind, number(0, "protocol"))
    yield Variant("UNIX", Step("socket", unix))
    bad = (number(99, "domain"), kind, number(0, "protocol"))
    yield Variant("failing", Step("socket", bad), errno.EAFNOSUPPORT)


def _addressed(name: str, good: Address, refused: tuple[str, Address, int]) -> Iterator[Variant]:
    """connect and bind: all families, and addresses that are none."""
    family = socket.AF_UNIX

    def one(title: str, args: tuple[Arg, ...], fails: int = 0, of: int = socket.AF_INET, how: str = "") -> Variant:
        return Variant(title, Step(name, (_FD, *args), how), fails, (_socket("socket", of),))

    yield one("success", _given(good))
    yield one("failing", _given(refused[1]), refused[2])
    yield one("NULL", (null("address"), number(16)), errno.EFAULT)
    yield one("unreadable", (unreadable("address"), number(16)), errno.EFAULT)
    yield one("too long", (data(good[0] + bytes(200)), number(len(good[0]) + 200)), errno.EINVAL)
    bad = (number(-1, "fd"), *_given(good))
    yield Variant("no socket", Step(name, bad), errno.EBADF)
    if name == "connect":
        yield one("32-bit", _given(good), how="c")
        yield one("IPv6", _given(_SERVER6), of=socket.AF_INET6)
        for title, address in (
            ("UNIX", _UNIX),
            ("UNIX no UTF-8", _ODD_UNIX),
            ("UNIX longest", _LONG_UNIX),
            ("UNIX abstract", _ABSTRACT),
        ):
            yield one(title, _given(address), of=family)
        absent = local(b"/work/no-such-socket")
        yield one("UNIX failing", _given(absent), errno.ENOENT, of=family)
        return
    yield one("32-bit", _given(ip("127.0.0.1", _FREE + 100)), how="c")
    yield one("IPv6", _given(ip("::1", _FREE)), of=socket.AF_INET6)
    for title, path in (
        ("UNIX", b"/work/bound"),
        ("UNIX no UTF-8", b"/work/b-\xff\xfe\xc3"),
        ("UNIX longest", b"/work/" + b"b" * (_SUN_PATH - 1 - len(b"/work/"))),
        ("UNIX abstract", b"\0bound"),
    ):
        yield one(title, _given(local(path)), of=family)


def _accepts() -> Iterator[Variant]:
    peer = ip("127.0.0.1", _PEER)
    server = result("server", "fd")
    args = (server, data(bytes(16), *peer[1]), data(struct.pack("=I", 16)), flags(_CLOEXEC, "flags", "SOCK_CLOEXEC"))
    # Its port is the peer's to choose; it is free again when it resets the connection, which it does at once.
    made = (
        _socket("peer"),
        Step("setsockopt", (result("peer"), number(1), number(2), data(struct.pack("=i", 1)), number(4))),
        Step("setsockopt", (result("peer"), number(1), number(13), data(struct.pack("=ii", 1, 0)), number(8))),
        Step("bind", (result("peer"), *_given(peer))),
        Step("connect", (result("peer"), *_given(_SERVER))),
    )
    after = (Step("close", (result("peer"),)), Step("close", (result("accepted"),)))
    yield Variant("success", Step("accept4", args, label="accepted"), before=made)
    nothing = (server, null(), null(), number(0))
    again = (*after, *made)
    yield Variant("no address", Step("accept4", nothing, label="accepted"), before=again)
    yield Variant("32-bit", Step("accept4", args, "c", label="accepted"), before=again)
    bad = (number(-1, "fd"), null(), null(), number(0))
    yield Variant("failing", Step("accept4", bad), errno.EBADF)
    none = (result("patient", "fd"), null(), null(), number(0))
    yield Variant("nobody there", Step("accept4", none), errno.EAGAIN)


def _sends() -> Iterator[Variant]:
    peer, peer6 = ip("127.0.0.1", _DATAGRAMS), ip("::1", _DATAGRAMS)

    def one(
        title: str, sent: Arg, size: int, to: tuple[Arg, Arg], *, fails: int = 0, socket: str = "four", how: str = ""
    ) -> Variant:
        rest = (sent, number(size, "size"), number(_MSG_NOSIGNAL), *to)
        return Variant(title, Step("sendto", (result(socket, "fd"), *rest), how), fails)

    hello, odd = data(b"hello", ("data", b"hello")), data(b"\xff\xfe\0\xc3", ("data", b"\xff\xfe\0\xc3"))
    yield one("success", hello, 5, _given(peer))
    yield one("32-bit", hello, 5, _given(peer), how="c")
    yield one("IPv6", hello, 5, _given(peer6), socket="six")
    yield one("no UTF-8", odd, 4, _given(peer))
    yield one("empty", data(b""), 0, _given(peer))
    yield one("unreadable", unreadable("data"), 5, _given(peer), fails=errno.EFAULT)
    yield one("unreadable address", hello, 5, (unreadable(), number(16)), fails=errno.EFAULT)
    yield one("without an address", hello, 5, (null(), number(0)), fails=errno.EDESTADDRREQ)
    yield one("connected", hello, 5, (null(), number(0)), socket="joined")


_DATAGRAM_SOCKETS = (
    *_bound("sink", ip("127.0.0.1", _DATAGRAMS), kind=_DATAGRAM),
    *_bound("sink6", ip("::1", _DATAGRAMS), socket.AF_INET6, _DATAGRAM),
    _socket("four", kind=_DATAGRAM),
    _socket("six", socket.AF_INET6, _DATAGRAM),
    _socket("joined", kind=_DATAGRAM),
    Step("connect", (result("joined"), *_given(ip("127.0.0.1", _DATAGRAMS)))),
)
_SERVERS = (
    *_listening("server", _SERVER),
    *_listening("server6", _SERVER6, socket.AF_INET6),
    *(step for address in (_UNIX, _ODD_UNIX, _LONG_UNIX, _ABSTRACT) for step in _listening("u", address, 1)),
)
_PATIENT = (
    _socket("patient", kind=_STREAM | _NONBLOCK),
    Step("bind", (result("patient"), *_given(ip("127.0.0.1", _FREE)))),
    Step("listen", (result("patient"), number(1))),
)

CALLS = (
    Call("socket", tuple(_sockets())),
    Call(
        "connect",
        tuple(_addressed("connect", _SERVER, ("refused", ip("127.0.0.1", _REFUSED), errno.ECONNREFUSED))),
        _SERVERS,
    ),
    Call(
        "bind",
        tuple(_addressed("bind", ip("127.0.0.1", _FREE), ("taken", _SERVER, errno.EADDRINUSE))),
        _listening("server", _SERVER),
    ),
    Call("accept4", tuple(_accepts()), (*_listening("server", _SERVER), *_PATIENT)),
    Call("sendto", tuple(_sends()), _DATAGRAM_SOCKETS),
)
