"""Calls that change what names mean: directories, links, modes, mounts."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

from lab.calls.files import DIR, create
from lab.calls.spec import Call, Step, Variant, variants
from lab.calls.words import AT_FDCWD, Arg, null, number, result, text, unreadable
from lab.calls.words import flags as bits

_AT_REMOVEDIR, _AT_SYMLINK_FOLLOW = 0x200, 0x400
_RENAME_NOREPLACE = 1
_MS_NOSUID, _MS_NODEV = 2, 4
_MNT_DETACH = 2

_HERE, _OLD_HERE, _NEW_HERE = (number(AT_FDCWD, name) for name in ("dirfd", "olddirfd", "newdirfd"))
_NAME, _OLD, _NEW = text("/work/there", "name"), text("/work/there", "oldpath"), text("/work/new", "newpath")
_TARGET, _LINK = text("/where/to", "target"), text("/work/link", "linkpath")
_MODE = number(0o640, "mode")


def _removed(path: bytes | str) -> Step:
    return Step("unlinkat", (number(AT_FDCWD), text(path), number(0)))


def _made(path: bytes) -> tuple[Step, ...]:
    return (create(path), _removed("/work/new"))


def _folder(path: bytes) -> tuple[Step, ...]:
    return (Step("mkdirat", (number(AT_FDCWD), text(path), number(0o755))),)


def _free(path: bytes) -> tuple[Step, ...]:
    return (_removed(path),)


def _mounted(path: bytes) -> tuple[Step, ...]:
    return (*_folder(path), Step("mount", (text("none"), text(path), text("tmpfs"), number(0), null())))


def _second(first: Variant, at: int, before: tuple[Step, ...]) -> Iterator[Variant]:
    """A call's other path as it should not be: `at` is its number among the arguments."""
    param = first.step.args[at].params[0][0]

    def other(name: str, arg: Arg, fails: int) -> Variant:
        args = (*first.step.args[:at], arg, *first.step.args[at + 1 :])
        return replace(first, name=f"{name} {param}", step=replace(first.step, args=args), fails=fails, before=before)

    odd = bytes.fromhex(first.step.args[at].word[2:]) + b"-\xff\xfe\xc3"
    yield other("no UTF-8", text(odd, param), 0)
    yield other("NULL", null(param), errno.EFAULT)
    yield other("unreadable", unreadable(param), errno.EFAULT)


def _two(name: str, *args: Arg, path: int, other: int, dirfd: int | None = None) -> tuple[Variant, ...]:
    """A call with an old path and a new one."""
    found = tuple(variants(name, *args, path=path, dirfd=dirfd, before=_made))
    again = (create("/work/there"), _removed("/work/new"), _removed(b"/work/new-\xff\xfe\xc3"))
    return (*found, *_second(found[0], other, again))


def _symlinks(name: str, *args: Arg, path: int, dirfd: int | None = None) -> tuple[Variant, ...]:
    found = tuple(variants(name, *args, path=path, dirfd=dirfd, before=_free))
    return (*found, *_second(found[0], 0, (_removed("/work/link"),)))


def _mounts() -> Iterator[Variant]:
    flag = bits(_MS_NOSUID | _MS_NODEV, "flags", "MS_NOSUID", "MS_NODEV")
    target, kind = text("/work/mount", "target"), text("tmpfs", "fstype")
    yield from variants("mount", text("source", "source"), target, kind, flag, null(), path=1, before=_folder)
    odd = text(b"source-\xff\xfe\xc3", "source")
    yield Variant("no UTF-8 source", Step("mount", (odd, target, kind, flag, null())), before=_folder(b"/work/mount"))
    bad = (text("source", "source"), target, text("no-such-type", "fstype"), flag, null())
    yield Variant("unknown type", Step("mount", bad), errno.ENODEV, _folder(b"/work/mount"))
    unread = (unreadable("source"), target, kind, flag, null())
    yield Variant("unreadable source", Step("mount", unread), errno.EFAULT, _folder(b"/work/mount"))


_REMOVE = bits(_AT_REMOVEDIR, "flags", "AT_REMOVEDIR")
_NO_REPLACE = bits(_RENAME_NOREPLACE, "flags", "RENAME_NOREPLACE")
_FOLLOW = bits(_AT_SYMLINK_FOLLOW, "flags", "AT_SYMLINK_FOLLOW")
_FD = result("file", "fd")
_ROOT = text("/work", "name")
_NOT_A_FOLDER, _PUT = text("/etc/hostname", "new_root"), text("/work", "put_old")

CALLS = (
    Call("unlink", tuple(variants("unlink", _NAME, path=0, before=_made))),
    Call("unlinkat", tuple(variants("unlinkat", _HERE, _NAME, _REMOVE, path=1, dirfd=0, before=_folder)), (DIR,)),
    Call("rename", _two("rename", _OLD, _NEW, path=0, other=1)),
    Call("renameat", _two("renameat", _OLD_HERE, _OLD, _NEW_HERE, _NEW, path=1, other=3, dirfd=0), (DIR,)),
    Call(
        "renameat2",
        _two("renameat2", _OLD_HERE, _OLD, _NEW_HERE, _NEW, _NO_REPLACE, path=1, other=3, dirfd=0),
        (DIR,),
    ),
    Call("link", _two("link", _OLD, _NEW, path=0, other=1)),
    Call("linkat", _two("linkat", _OLD_HERE, _OLD, _NEW_HERE, _NEW, _FOLLOW, path=1, other=3, dirfd=0), (DIR,)),
    Call("symlink", _symlinks("symlink", _TARGET, _LINK, path=1)),
    Call("symlinkat", _symlinks("symlinkat", _TARGET, _NEW_HERE, _LINK, path=2, dirfd=1), (DIR,)),
    Call("chmod", tuple(variants("chmod", _NAME, _MODE, path=0, before=_made))),
    Call(
        "fchmod",
        (
            *variants("fchmod", _FD, _MODE),
            Variant("failing", Step("fchmod", (number(-1, "fd"), _MODE)), errno.EBADF),
        ),
        (create("/work/there", "file"),),
    ),
    Call("fchmodat", tuple(variants("fchmodat", _HERE, _NAME, _MODE, path=1, dirfd=0, before=_made)), (DIR,)),
    Call(
        "fchmodat2",
        tuple(variants("fchmodat2", _HERE, _NAME, _MODE, number(0), path=1, dirfd=0, before=_made)),
        (DIR,),
    ),
    Call("mount", tuple(_mounts())),
    Call(
        "umount2",
        tuple(variants("umount2", text("/work/mount", "target"), number(_MNT_DETACH), path=0, before=_mounted)),
    ),
    Call("chroot", tuple(variants("chroot", _ROOT, path=0, how="k", strange=errno.ENOENT))),
    Call(
        "pivot_root",
        (
            Variant("not a folder", Step("pivot_root", (_NOT_A_FOLDER, _PUT)), errno.ENOTDIR),
            Variant("32-bit", Step("pivot_root", (_NOT_A_FOLDER, _PUT), "c"), errno.ENOTDIR),
            Variant("NULL", Step("pivot_root", (null("new_root"), _PUT)), errno.EFAULT),
            Variant("unreadable", Step("pivot_root", (unreadable("new_root"), _PUT)), errno.EFAULT),
        ),
    ),
)
