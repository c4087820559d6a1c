"""Calls that change the kernel, or that go around the calls that drivers look at."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

from lab.calls.files import O_CLOEXEC, opened
from lab.calls.spec import Call, Step, Variant, variants
from lab.calls.words import Arg, data, flags, null, number, result, room, text, unreadable

_O_NONBLOCK = 0o4000
# uapi/linux/bpf.h
_MAP_CREATE, _PROG_GET_NEXT_ID = 0, 11
_ARRAY = 2
# uapi/linux/io_uring.h
_UNREGISTER_FILES, _REGISTER_PROBE = 3, 8
_PROBES = 256
_NO_MODULE = b"this is no module, whatever it says: " + bytes(64)


def _inits() -> Iterator[Variant]:
    image, size = data(_NO_MODULE), number(len(_NO_MODULE), "size")
    for name, uargs, how in (
        ("no module", text("a=1 b=2", "uargs"), ""),
        ("32-bit", text("a=1 b=2", "uargs"), "c"),
        ("no UTF-8", text(b"a=\xff\xfe", "uargs"), ""),
        ("empty", text("", "uargs"), ""),
    ):
        yield Variant(name, Step("init_module", (image, size, uargs), how), errno.ENOEXEC)
    yield Variant("unreadable", Step("init_module", (unreadable(), size, text("a=1", "uargs"))), errno.EFAULT)


def _finits() -> Iterator[Variant]:
    file, none = result("file", "fd"), number(0)
    for name, uargs, how in (
        ("no module", text("a=1 b=2", "uargs"), ""),
        ("32-bit", text("a=1 b=2", "uargs"), "c"),
        ("no UTF-8", text(b"a=\xff\xfe", "uargs"), ""),
        ("empty", text("", "uargs"), ""),
    ):
        yield Variant(name, Step("finit_module", (file, uargs, none), how), errno.ENOEXEC)
    bad = (number(-1, "fd"), text("a=1", "uargs"), none)
    yield Variant("failing", Step("finit_module", bad), errno.EBADF)


def _deletes() -> Iterator[Variant]:
    flag = flags(_O_NONBLOCK, "flags", "O_NONBLOCK")
    for name, arg, how in (
        ("absent", text("no_such_module", "name"), ""),
        ("32-bit", text("no_such_module", "name"), "c"),
        ("no UTF-8", text(b"no-\xff\xfe\xc3", "name"), ""),
    ):
        yield Variant(name, Step("delete_module", (arg, flag), how), errno.ENOENT)
    for name, pointer in (("NULL", null("name")), ("unreadable", unreadable("name"))):
        yield Variant(name, Step("delete_module", (pointer, flag)), errno.EFAULT)


def _bpfs() -> Iterator[Variant]:
    cmd, size = number(_MAP_CREATE, "cmd"), number(64)
    yield from variants("bpf", cmd, data(struct.pack("=4I", _ARRAY, 4, 4, 1) + bytes(48)), size)
    wrong = data(struct.pack("=4I", 9999, 4, 4, 1) + bytes(48))
    yield Variant("failing", Step("bpf", (cmd, wrong, size)), errno.EINVAL)
    yield Variant("unreadable", Step("bpf", (cmd, unreadable(), size)), errno.EFAULT)
    last = data(struct.pack("=I", 0x7FFFFFF0) + bytes(60))
    yield Variant("another command", Step("bpf", (number(_PROG_GET_NEXT_ID, "cmd"), last, size)), errno.ENOENT)


def _faults() -> Iterator[Variant]:
    yield from variants("userfaultfd", flags(O_CLOEXEC, "flags", "O_CLOEXEC"))
    yield Variant("failing", Step("userfaultfd", (number(0x100),)), errno.EINVAL)


def _rings() -> Iterator[Variant]:
    entries = number(4, "entries")
    yield from variants("io_uring_setup", entries, room(120))
    yield Variant("failing", Step("io_uring_setup", (number(0, "entries"), room(120))), errno.EINVAL)
    yield Variant("unreadable", Step("io_uring_setup", (entries, unreadable())), errno.EFAULT)


def _enters() -> Iterator[Variant]:
    def args(file: Arg) -> tuple[Arg, ...]:
        return (file, number(0, "to_submit"), number(0, "min_complete"), number(0), null(), number(0))

    yield from variants("io_uring_enter", *args(result("ring", "fd")))
    yield Variant("failing", Step("io_uring_enter", args(number(-1, "fd"))), errno.EBADF)


def _registers() -> Iterator[Variant]:
    count = number(_PROBES, "nr_args")
    probe = (number(_REGISTER_PROBE, "opcode"), room(16 + 8 * _PROBES), count)
    yield from variants("io_uring_register", result("ring", "fd"), *probe)
    nothing = (number(_UNREGISTER_FILES, "opcode"), null(), number(0, "nr_args"))
    yield Variant("failing", Step("io_uring_register", (result("ring", "fd"), *nothing)), errno.ENXIO)


_RING = (Step("io_uring_setup", (number(4), room(120)), label="ring"),)

CALLS = (
    Call("init_module", tuple(_inits())),
    Call("finit_module", tuple(_finits()), (opened("/etc/hostname", "file"),)),
    Call("delete_module", tuple(_deletes())),
    Call("bpf", tuple(_bpfs())),
    Call("userfaultfd", tuple(_faults())),
    Call("io_uring_setup", tuple(_rings())),
    Call("io_uring_enter", tuple(_enters()), _RING),
    Call("io_uring_register", tuple(_registers()), _RING),
)
