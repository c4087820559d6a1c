"""Ways to a file other than its name: links, mounts, descriptors, and limits that the caller sets itself."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from lab.calls.files import DIR, O_CLOEXEC, O_RDONLY, O_RDWR, UNREADABLE_HOW, create
from lab.calls.processes import BY_DESCRIPTOR
from lab.calls.spec import Call, Step, Variant
from lab.calls.words import AT_FDCWD, AnyOf, Arg, data, flags, named, null, number, result, text

_HERE = number(AT_FDCWD, "dirfd")
_READ = flags(O_RDONLY | O_CLOEXEC, "flags", "O_RDONLY", "O_CLOEXEC")
_NO_MODE = number(0)
_AT_REMOVEDIR, _MS_BIND, _RENAME_EXCHANGE = 0x200, 4096, 2
_DESCRIPTOR = 100  # one that nothing else has
# uapi/linux/openat2.h
_RESOLVE = {"NO_XDEV": 1, "NO_MAGICLINKS": 2, "NO_SYMLINKS": 4, "BENEATH": 8, "IN_ROOT": 16}


def _opened(name: str, path: str, fails: int = 0, before: tuple[Step, ...] = (), *, whole: str = "") -> Variant:
    """`whole`: a relative path as it is from the root."""
    return Variant(name, Step("openat", (_HERE, _either(path, whole), _READ, _NO_MODE)), fails, before)


def _either(path: str, whole: str) -> Arg:
    """A path that may be reported as it was given or whole."""
    given = text(path, "name")
    return Arg(given.word, (("name", AnyOf((path.encode(), whole.encode()))),)) if whole else given


def _folder(path: str) -> Step:
    return Step("mkdirat", (number(AT_FDCWD), text(path), number(0o755)))


def _linked(target: str, path: str) -> Step:
    return Step("symlinkat", (text(target), number(AT_FDCWD), text(path)))


def _resolves() -> Iterator[Variant]:
    for name, path, whole, fails in (
        ("BENEATH", "../etc/hostname", "/etc/hostname", errno.EXDEV),
        ("BENEATH", "there", "/work/there", 0),
        ("NO_SYMLINKS", "link", "/work/link", errno.ELOOP),
        ("NO_MAGICLINKS", "/proc/self/exe", "", errno.ELOOP),
        ("NO_XDEV", "/proc/self/stat", "", errno.EXDEV),
        ("IN_ROOT", "/../../there", "/work/there", 0),
    ):
        how = data(
            struct.pack("=QQQ", O_RDONLY | O_CLOEXEC, 0, _RESOLVE[name]),
            ("flags", frozenset({"O_RDONLY", "O_CLOEXEC"})),
            ("resolve", frozenset({f"RESOLVE_{name}"})),
        )
        step = Step("openat2", (result("dir", "dirfd"), _either(path, whole), how, number(24)))
        yield Variant(f"{name} {'refused' if fails else 'allowed'}", step, fails)


def _renames() -> Iterator[Variant]:
    old, new = text("/work/one", "oldpath"), text("/work/two", "newpath")
    here, there = number(AT_FDCWD, "olddirfd"), number(AT_FDCWD, "newdirfd")
    before = (create("/work/one"), create("/work/two"))
    yield Variant("over another", Step("renameat2", (here, old, there, new, number(0))), before=before)
    exchange = flags(_RENAME_EXCHANGE, "flags", "RENAME_EXCHANGE")
    yield Variant("exchanged", Step("renameat2", (here, old, there, new, exchange)), before=before)


_BOUND = (
    _folder("/work/a"),
    _folder("/work/b"),
    create("/work/a/there"),
    Step("mount", (text("/work/a"), text("/work/b"), null(), number(_MS_BIND), null())),
)
_GONE = (
    _folder("/work/gone"),
    Step("chdir", (text("/work/gone"),)),
    Step("unlinkat", (number(AT_FDCWD), text("/work/gone"), number(_AT_REMOVEDIR))),
)
_MEMORY = (
    Step("memfd_create", (text("memory"), number(0)), label="memory"),
    Step("dup3", (result("memory"), number(_DESCRIPTOR), number(0))),
)
_UNNAMED = (_HERE, text("/work", "name"), named(O_RDWR, "flags", "O_TMPFILE", told=("O_RDWR",)), number(0o600, "mode"))
_NO_LINK = (_HERE, text("/work/link", "name"), named(O_RDONLY, "flags", "O_NOFOLLOW", told=("O_RDONLY",)), _NO_MODE)
_THERE = create("/work/there")

WAYS: Mapping[str, Call] = MappingProxyType(
    {
        "RESOLVE": Call("openat2", tuple(_resolves()), (DIR, _THERE, _linked("/work/there", "/work/link"))),
        "unreadable how": UNREADABLE_HOW,
        "symlink": Call(
            "openat",
            (
                _opened("followed", "/work/link"),
                Variant("not followed", Step("openat", _NO_LINK), errno.ELOOP),
                _opened("to itself", "/work/loop", errno.ELOOP, (_linked("/work/loop", "/work/loop"),)),
                _opened("to nothing", "/work/dangling", errno.ENOENT, (_linked("/nowhere", "/work/dangling"),)),
            ),
            (_THERE, _linked("/work/there", "/work/link")),
        ),
        "hard link": Call(
            "openat",
            (_opened("by its other name", "/work/hard"),),
            (
                _THERE,
                Step(
                    "linkat",
                    (number(AT_FDCWD), text("/work/there"), number(AT_FDCWD), text("/work/hard"), number(0)),
                ),
            ),
        ),
        "bind mount": Call("openat", (_opened("by the mount", "/work/b/there"),), _BOUND),
        "/proc/self/root": Call("openat", (_opened("by the root", "/proc/self/root/work/there"),), (_THERE,)),
        "rename": Call("renameat2", tuple(_renames())),
        "O_TMPFILE": Call("openat", (Variant("without a name", Step("openat", _UNNAMED)),)),
        "memfd": Call("openat", (_opened("by its descriptor", f"/proc/self/fd/{_DESCRIPTOR}"),), _MEMORY),
        "descriptor": BY_DESCRIPTOR,
        "deleted folder": Call(
            "openat",
            (
                _opened("a file in it", "there", errno.ENOENT, whole="/work/gone/there"),
                _opened("itself", ".", whole="/work/gone"),
                _opened("above", "..", whole="/work"),
            ),
            _GONE,
        ),
    }
)
