"""Calls about processes: their programs, children, ends, credentials, namespaces, and what one does to another."""

from __future__ import annotations

import errno
import signal
import struct
from collections.abc import Iterator

from lab.calls.files import opened
from lab.calls.spec import Call, Step, Variant, variants
from lab.calls.words import AT_FDCWD, Arg, Untold, data, flags, myself, null, number, result, text, unreadable, words

# uapi/linux/sched.h
_CLONE_FS, _CLONE_FILES, _CLONE_THREAD = 0x200, 0x400, 0x10000
_CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_IO = 0x04000000, 0x08000000, 0x80000000
_AT_EMPTY_PATH = 0x1000
_NOBODY_THERE = 0x3FFFFFFF  # above any pid
_TRUE = "/usr/bin/true"

_DONE = (("result", 0),)


def _execve() -> Iterator[Variant]:
    name, argv = text(_TRUE, "filename"), words(["true", "one two", b"\xff\xfe", ""], "args")
    yield from variants("execve", name, argv, null(), path=0, how="k", params=_DONE, strange=errno.ENOENT)
    yield Variant(
        "no arguments", Step("execve", (name, Arg(words([]).word, (("args", Untold()),)), null()), "k"), params=_DONE
    )
    yield Variant("NULL argv", Step("execve", (name, null("args"), null()), "k"), params=_DONE)
    yield Variant("unreadable argv", Step("execve", (name, unreadable("args"), null()), "k"), errno.EFAULT)
    yield Variant("unreadable envp", Step("execve", (name, argv, unreadable()), "k"), errno.EFAULT)


def _execveat() -> Iterator[Variant]:
    here, argv = number(AT_FDCWD, "dirfd"), words(["true", "one two"], "args")
    name = text(_TRUE, "filename")
    none = number(0)
    yield from variants("execveat", here, name, argv, null(), none, path=1, how="k", params=_DONE, strange=errno.ENOENT)
    relative = (result("bin", "dirfd"), text("true", "filename"), argv, null(), none)
    yield Variant("relative", Step("execveat", relative, "k"), params=_DONE)


def _by_descriptor() -> Call:
    """fexecve(3)"""
    argv, empty = words(["true", "one two"], "args"), flags(_AT_EMPTY_PATH, "flags", "AT_EMPTY_PATH")
    args = (result("true", "dirfd"), text("", "filename"), argv, null(), empty)
    step = Step("execveat", args, "k")
    return Call("execveat", (Variant("by descriptor", step, params=_DONE),), (opened(_TRUE, "true"),))


def _clone3_args(bits: int) -> bytes:
    """struct clone_args of the first version"""
    return struct.pack("=8Q", bits, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)


def _clones() -> Iterator[Variant]:
    good = flags(_CLONE_FS | _CLONE_FILES | signal.SIGCHLD, "flags", "CLONE_FS", "CLONE_FILES")
    yield from variants("clone", good, null(), null(), null(), null(), how="f")
    bad = flags(_CLONE_THREAD | signal.SIGCHLD, "flags", "CLONE_THREAD")
    yield Variant("failing", Step("clone", (bad, null(), null(), null(), null()), "f"), errno.EINVAL)


def _clone3s() -> Iterator[Variant]:
    told = ("flags", frozenset({"CLONE_FS", "CLONE_FILES"}))
    good = data(_clone3_args(_CLONE_FS | _CLONE_FILES), told)
    yield from variants("clone3", good, number(64), how="f")
    bad = data(_clone3_args(_CLONE_THREAD), ("flags", frozenset({"CLONE_THREAD"})))
    yield Variant("failing", Step("clone3", (bad, number(64)), "f"), errno.EINVAL)
    yield Variant("unreadable", Step("clone3", (unreadable(), number(64)), "f"), errno.EFAULT)


def _ids(name: str, *params: str, fails: int = errno.EPERM) -> Call:
    """setuid and its like; without capabilities they fail, but for those that always return what was before."""
    args = tuple(number(1000 + place, param) for place, param in enumerate(params))
    refused = Variant("failing", Step(name, args, "d"), fails)
    return Call(name, (*variants(name, *args, how="k"), refused))


def _ends(name: str) -> Call:
    return Call(name, tuple(variants(name, number(3, "code"), how="k")), returns=False)


def _kills() -> Iterator[Variant]:
    sig = number(signal.SIGUSR2, "sig")
    yield from variants("kill", myself("target"), sig)
    yield Variant("failing", Step("kill", (number(_NOBODY_THERE, "target"), sig)), errno.ESRCH)
    yield Variant("no such signal", Step("kill", (myself("target"), number(99, "sig"))), errno.EINVAL)


def _traces() -> Iterator[Variant]:
    yield from variants("ptrace", number(0, "request"), number(0, "target"), null(), null(), how="k")
    attach = (number(16, "request"), number(_NOBODY_THERE, "target"), null(), null())
    yield Variant("failing", Step("ptrace", attach), errno.ESRCH)


def _writes() -> Iterator[Variant]:
    nothing = (null(), number(0), null(), number(0))
    yield from variants("process_vm_writev", myself("target"), *nothing, number(0))
    yield Variant("failing", Step("process_vm_writev", (myself("target"), *nothing, number(1))), errno.EINVAL)


def _namespaces() -> Iterator[Variant]:
    kind = flags(_CLONE_NEWUTS, "nstype", "CLONE_NEWUTS")
    yield from variants("setns", result("uts", "fd"), kind, how="k")
    yield Variant("failing", Step("setns", (number(-1, "fd"), kind), "k"), errno.EBADF)
    wrong = (result("uts", "fd"), flags(_CLONE_NEWIPC, "nstype", "CLONE_NEWIPC"))
    yield Variant("another kind", Step("setns", wrong, "k"), errno.EINVAL)


def _unshares() -> Iterator[Variant]:
    both = flags(_CLONE_NEWUTS | _CLONE_NEWIPC, "flags", "CLONE_NEWUTS", "CLONE_NEWIPC")
    yield from variants("unshare", both, how="k")
    yield Variant("failing", Step("unshare", (flags(_CLONE_IO, "flags", "CLONE_IO"),), "k"), errno.EINVAL)


BY_DESCRIPTOR = _by_descriptor()
CALLS = (
    Call("execve", tuple(_execve())),
    Call("execveat", tuple(_execveat()), (opened("/usr/bin", "bin"),)),
    Call("fork", tuple(variants("fork", how="f"))),
    Call("vfork", tuple(variants("vfork", how="f", compat=False))),
    Call("clone", tuple(_clones())),
    Call("clone3", tuple(_clone3s())),
    _ends("exit"),
    _ends("exit_group"),
    # There is no frame to return to, so the process ends by a signal; its event is one of the entry.
    Call("rt_sigreturn", (Variant("success", Step("rt_sigreturn", (), "k")),), returns=False),
    Call("kill", tuple(_kills())),
    Call("ptrace", tuple(_traces())),
    Call("process_vm_writev", tuple(_writes())),
    _ids("setuid", "uid"),
    _ids("setgid", "gid"),
    _ids("setreuid", "ruid", "euid"),
    _ids("setregid", "rgid", "egid"),
    _ids("setresuid", "ruid", "euid", "suid"),
    _ids("setresgid", "rgid", "egid", "sgid"),
    _ids("setfsuid", "uid", fails=0),
    _ids("setfsgid", "gid", fails=0),
    Call("setns", tuple(_namespaces()), (opened("/proc/self/ns/uts", "uts"),)),
    Call("unshare", tuple(_unshares())),
)
