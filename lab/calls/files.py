"""Calls that open files, and what is done with what they opened."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

from lab.calls.spec import Call, Step, Variant, variants
from lab.calls.words import (
    AT_FDCWD,
    Arg,
    Prefix,
    data,
    flags,
    memory,
    null,
    number,
    result,
    room,
    text,
    unreadable,
)

# asm-generic/fcntl.h: those that are the same on all architectures
O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_CLOEXEC = 0, 0o1, 0o2, 0o100, 0o200, 0o1000, 0o2000000
_RESOLVE_NO_SYMLINKS = 0x04
_MFD_CLOEXEC, _MFD_NAME_MAX = 1, 249
# struct file_handle: room for any, whose type the kernel fills in
_HANDLE = struct.pack("=Ii", 128, 0) + bytes(128)

_HERE = number(AT_FDCWD, "dirfd")
_NAME = text("/work/there", "name")
_READ = flags(O_RDONLY | O_CLOEXEC, "flags", "O_RDONLY", "O_CLOEXEC")
_NO_MODE = number(0)


def create(path: bytes | str, label: str = "") -> Step:
    """A step that makes a file."""
    flag = number(O_WRONLY | O_CREAT)
    return Step("openat", (number(AT_FDCWD), text(path), flag, number(0o600)), label=label)


def opened(path: str, label: str) -> Step:
    """A step that opens a file or a folder."""
    return Step("openat", (number(AT_FDCWD), text(path), number(O_RDONLY | O_CLOEXEC), number(0)), label=label)


DIR = opened("/work", "dir")


def _made(path: bytes) -> tuple[Step, ...]:
    return (create(path),)


def _how(flag: int, mode: int, resolve: int) -> bytes:
    """struct open_how"""
    return struct.pack("=QQQ", flag, mode, resolve)


def _openat2() -> Iterator[Variant]:
    how = data(
        _how(O_RDONLY | O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS),
        ("flags", frozenset({"O_RDONLY", "O_CLOEXEC"})),
        ("resolve", frozenset({"RESOLVE_NO_SYMLINKS"})),
    )
    yield from variants("openat2", _HERE, _NAME, how, number(24), path=1, dirfd=0, before=_made)


def _by_handle() -> Iterator[Variant]:
    handle, mount = memory("handle", 2), result("dir", "mountdirfd")
    yield from variants("open_by_handle_at", mount, handle, _READ)
    bad = (number(-1, "mountdirfd"), handle, _READ)
    yield Variant("failing", Step("open_by_handle_at", bad), errno.EBADF)
    for name, pointer in (("NULL", null()), ("unreadable", unreadable())):
        yield Variant(name, Step("open_by_handle_at", (mount, pointer, _READ)), errno.EFAULT)


def _memfd() -> Iterator[Variant]:
    flag = flags(_MFD_CLOEXEC, "flags", "MFD_CLOEXEC")
    yield from variants("memfd_create", text("memory", "name"), flag)
    longest, longer = b"m" * _MFD_NAME_MAX, b"m" * (_MFD_NAME_MAX + 1)
    for name, value in (("longest", longest), ("no UTF-8", b"m-\xff\xfe\xc3"), ("empty", b"")):
        yield Variant(name, Step("memfd_create", (text(value, "name"), flag)))
    too_long = Arg(text(longer).word, (("name", Prefix(longer)),))
    yield Variant("too long", Step("memfd_create", (too_long, flag)), errno.EINVAL)
    for name, pointer in (("NULL", null("name")), ("unreadable", unreadable("name"))):
        yield Variant(name, Step("memfd_create", (pointer, flag)), errno.EFAULT)


_TO_HANDLE = Step(
    "name_to_handle_at",
    (number(AT_FDCWD), text("/work/there"), data(_HANDLE), room(4), number(0)),
    label="handle",
)

UNREADABLE_HOW = Call(
    "openat2",
    (
        Variant("unreadable how", Step("openat2", (_HERE, _NAME, unreadable(), number(24))), errno.EFAULT),
        Variant("NULL how", Step("openat2", (_HERE, _NAME, null(), number(24))), errno.EFAULT),
    ),
)
CALLS = (
    Call("open", tuple(variants("open", _NAME, _READ, _NO_MODE, path=0, before=_made))),
    Call("openat", tuple(variants("openat", _HERE, _NAME, _READ, _NO_MODE, path=1, dirfd=0, before=_made)), (DIR,)),
    Call("openat2", tuple(_openat2()), (DIR,)),
    Call("creat", tuple(variants("creat", _NAME, number(0o640, "mode"), path=0))),
    Call("open_by_handle_at", tuple(_by_handle()), (DIR, create("/work/there"), _TO_HANDLE)),
    Call(
        "close",
        (
            Variant("success", Step("close", (result("file", "fd"),)), before=(create("/work/there", "file"),)),
            Variant("32-bit", Step("close", (result("file", "fd"),), "c"), before=(create("/work/there", "file"),)),
            Variant("failing", Step("close", (number(-1, "fd"),)), errno.EBADF),
        ),
    ),
    Call("memfd_create", tuple(_memfd())),
)
