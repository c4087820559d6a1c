"""The moments of a system call at which another thread may change what an argument points to, and where a kernel has
them.

Only functions that every kernel exports to kallsyms are needed, and no debug information: the function of the system
call itself (its wrapper, which is never inlined: a table points to it), and the one that is given the kernel's copy.
The moments behind the call are return addresses, which are found on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from lab.arches import Arch
from lab.debugging.symbols import NoSymbolError, Symbols


class Window(StrEnum):
    """The moments, in their order. What a driver reads in between, and what the kernel does, decides who is misled."""

    BEFORE_ENTRY = "before-entry-read"  # nobody has looked: everybody sees what is written here
    BEFORE_COPY = "before-kernel-copy"  # a driver has read at the call's entry; the kernel has not
    AFTER_COPY = "after-kernel-copy"  # the kernel has its copy, and has not acted on it yet
    AFTER_OPERATION = "after-operation"  # the kernel is done; a driver has not read at the call's exit
    AFTER_EXIT = "after-exit-read"  # all is over


# A call that hardly any program makes and that changes nothing: an actor makes it just before the call in question.
BELL = "getpriority"


@dataclass(frozen=True)
class Copy:
    """Where a kernel is given its own copy: the first `functions` that are there, and how `argument` (the first being
    0) holds it: "name" (a struct filename), "address" (the bytes), "message" (a struct msghdr), "text" (a string)."""

    functions: tuple[str, ...]
    argument: int
    holds: str


_OPENED = Copy(("do_file_open", "do_filp_open"), 1, "name")  # the first from 7.0 on
_PARENT = Copy(("__filename_parentat", "filename_parentat"), 1, "name")
_LOOKED_UP = Copy(("filename_lookup",), 1, "name")

COPIES: Mapping[str, tuple[Copy, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("open", "openat", "openat2", "creat", "execve", "execveat"), (_OPENED,)),
        **dict.fromkeys(("unlink", "unlinkat", "rename", "renameat", "renameat2"), (_PARENT,)),
        **dict.fromkeys(("mkdir", "mkdirat"), (_PARENT,)),
        **dict.fromkeys(("symlink", "symlinkat"), (_PARENT, Copy(("security_inode_symlink",), 2, "text"))),
        **dict.fromkeys(("link", "linkat"), (_LOOKED_UP, _PARENT)),
        **dict.fromkeys(("chmod", "fchmodat", "chroot"), (_LOOKED_UP,)),
        "mount": (Copy(("path_mount", "do_mount"), 0, "text"), _LOOKED_UP),
        "connect": (Copy(("security_socket_connect",), 1, "address"),),
        "bind": (Copy(("security_socket_bind",), 1, "address"),),
        "sendto": (Copy(("security_socket_sendmsg",), 1, "message"),),
    }
)

# How the wrapper of a system call is called: of the kernel's own size, and of 32-bit callers.
_WRAPPERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "amd64": (("__x64_sys_",), ("__ia32_compat_sys_", "__ia32_sys_")),
        "arm64": (("__arm64_sys_",), ("__arm64_compat_sys_", "__arm64_sys_")),
        "riscv64": (("__riscv_sys_", "__se_sys_"), ("__riscv_compat_sys_", "__riscv_sys_")),
    }
)
# Bytes from the beginning of struct pt_regs, which a wrapper is given, to the caller's program counter. Part of each
# architecture's ABI for debuggers (arch/*/include/uapi/asm/ptrace.h).
USER_PC: Mapping[str, int] = MappingProxyType({"amd64": 128, "arm64": 256, "riscv64": 0})


def wrapper(call: str, arch: Arch, symbols: Symbols, *, compat: bool = False) -> str:
    """The name of a call's own function; NoSymbolError when this kernel has no such call."""
    names = [prefix + call for prefix in _WRAPPERS[arch.name][compat]]
    return _first(names, symbols, f"this kernel has no system call {call}{' for 32-bit programs' if compat else ''}")


def copies(call: str, symbols: Symbols) -> dict[str, Copy]:
    """The functions of this kernel that are given its copy of the call's arguments.

    NoSymbolError when there is none: then no moment after the copy can be told from the end of the call.
    """
    found = {}
    for copy in COPIES.get(call, ()):
        for name in copy.functions:
            if symbols.named(name, ""):
                found[name] = copy
                break
    if not found:
        raise NoSymbolError(
            f"this kernel has none of the functions in which {call}'s copied arguments can be seen",
            hint="take another window",
        )
    return found


def _first(names: list[str], symbols: Symbols, otherwise: str) -> str:
    for name in names:
        if symbols.named(name, ""):
            return name
    raise NoSymbolError(otherwise, hint=f"none of {', '.join(names)} is in its symbols")
