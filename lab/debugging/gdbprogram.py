"""The lab's own gdb, one that knows every architecture, unpacked into the store as its QEMU is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import arches
from lab.arches import Arch
from lab.debugging.debuginfo import DebugInfo
from lab.errors import ArchiveError, HostError
from lab.images.roots import RootWish, get_root
from lab.process import run, which
from lab.settings import Settings
from lab.store import Store

_SUITE = "trixie"
_PROGRAM = "usr/bin/gdb-multiarch"
_FALLBACKS = ("gdb-multiarch", "gdb")
# Architectures as gdb calls them, and how long a kernel that is emulated may take to answer, in seconds.
_KGDB = {"amd64": "i386:x86-64", "arm64": "aarch64", "riscv64": "riscv:rv64"}
_KGDB_TIMEOUT = 60
# Where gdb starts a module's text; other sections it is told by name.
_TEXT = ".text"
_TOLD = (".data", ".bss", ".rodata", ".init.text", ".exit.text")


@dataclass(frozen=True)
class Gdb:
    """A gdb that can be started: `command` is the program with what it needs before its arguments."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    origin: str


def own_gdb(store: Store, settings: Settings, notice: Callable[[str], None]) -> Gdb:
    """The lab's gdb, fetched when it is not in the store; HostError when it cannot be had."""
    host = arches.host()
    wish = RootWish(
        kind="gdb",
        name="gdb",
        suite=_SUITE,
        packages=("gdb-multiarch", "python3"),
        arch=host,
        inputs={"host": host.name, "layout": 1},
        notice="unpacking gdb",
    )

    def complete(folder: Path) -> dict[str, Any]:
        found = _in_root(folder / "root")
        return {"version": run([*found.command, "--version"], deadline=60, env=dict(found.environment)).text[:80]}

    try:
        return _in_root(get_root(wish, store, settings, notice, complete).files / "root")
    except ArchiveError as error:
        hint = f"apt-get install {_FALLBACKS[0]}, then --gdb {_FALLBACKS[0]}"
        raise HostError(f"there is no gdb: the lab's own cannot be fetched ({error.what})", hint=hint) from error


def named_gdb(name: str) -> Gdb:
    """The gdb of the host that the user names; HostError when there is none."""
    return Gdb((which(name, package=_FALLBACKS[0]),), (), "the host's")


def _in_root(root: Path) -> Gdb:
    host = arches.host()
    loader = (str(root / host.loader), "--library-path", str(root / host.library_path))
    program = (str(root / _PROGRAM), "--data-directory", str(root / "usr/share/gdb"))
    return Gdb((*loader, *program), (("PYTHONHOME", str(root / "usr")),), "the lab's own")


@dataclass(frozen=True)
class Layout:
    """Where things are in the guest: how far the kernel is from where its vmlinux says (KASLR), and each module's file
    with its sections' addresses. `names` is a file with the bare symbols, for what has no debug information."""

    offset: int
    modules: Sequence[tuple[Path, Mapping[str, int]]]
    names: Path | None


def script(
    stub: Path, info: DebugInfo | None, layout: Layout, breaks: Sequence[int], *, go: str, kgdb: Arch | None = None
) -> str:
    """gdb's commands that load all symbols where they are, attach and set the breakpoints.

    `go` is the last command ("continue"; empty: the guest stands). `kgdb`: the stub is the kernel's own, of that
    architecture: it does not say which it is, and puts its breakpoints into its text.
    """
    lines = ["set pagination off", "set confirm off", "set print pretty on"]
    if info:
        lines.append(f"symbol-file {_quoted(info.vmlinux)} -o {layout.offset:#x}")
    elif layout.names:
        lines.append(f"symbol-file {_quoted(layout.names)}")
    for path, sections in layout.modules:
        words = [f"-s {name} {sections[name]:#x}" for name in (_TEXT, *_TOLD) if name in sections]
        lines.append(f"add-symbol-file {_quoted(path)} {' '.join(words)}")
    if kgdb:
        lines += [f"set architecture {_KGDB[kgdb.name]}", f"set remotetimeout {_KGDB_TIMEOUT}"]
    # A socket's path takes no quotes.
    lines.append(f"target remote {stub}")
    # The guest's own debugger might be told of CPUs by name; QEMU says CPU#0 [halted].
    lines += [f"{'break' if kgdb else 'hbreak'} *{address:#x}" for address in breaks]
    lines += ["set pagination on", "set confirm on"]
    return "\n".join([*lines, *([go] if go else [])]) + "\n"


def _quoted(path: Path) -> str:
    """A path as one word of gdb's."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
