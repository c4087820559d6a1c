"""Build trees of kernels that did not come from an archive: whether drivers can be compiled against one, and when it
has changed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from lab import arches
from lab.arches import Arch
from lab.store import file_digest

LARGEST_CONFIG = 4 << 20  # bytes
_NOTE = 64 << 10  # bytes of a small file that are read
_INCLUDED = re.compile(r"^include (/\S+)/Makefile$", re.MULTILINE)
# 12.2.0 in gcc-12 (Debian 12.2.0-14) 12.2.0; the first number of a distribution's own version stands before it.
_BANNER_GCC = re.compile(r"\bgcc(?:-(\d+)\b| version (\d+)\.| \([^()]*\) (\d+)\.)")
_BANNER_CLANG = re.compile(r"\bclang version (\d+)\.")
_NUMBERS = re.compile(r"^CONFIG_(GCC|CLANG)_VERSION=(\d+)$", re.MULTILINE)
# What is compiled against, below a tree; what else lies in it is the kernel's own.
_PARTS = ("include", "scripts", "tools/objtool", "tools/bpf/resolve_btfids")
_OBJECTS = (".o", ".ko", ".a", ".cmd", ".d", ".c", ".S")


def is_tree(folder: Path) -> bool:
    """Is that a kernel's tree at all, built or not: its sources, a build with O=, or a distribution's headers?"""
    return (
        (folder / "Makefile").is_file()
        and ((folder / "scripts").is_dir() or (folder / "include/config").is_dir())
        and ((folder / "include").is_dir() or (folder / "arch").is_dir())
    )


def tree_release(tree: Path) -> str:
    """The release that a tree was built for; empty where it does not say."""
    return _read(tree / "include/config/kernel.release", _NOTE).strip()


def why_unusable(tree: Path, arch: Arch) -> str:
    """Why no driver can be compiled against that tree; empty when one can."""
    if not (tree / "Module.symvers").is_file() and not (tree / "include/generated/autoconf.h").is_file():
        return f"the build tree {tree} is not built (no Module.symvers, no include/generated/autoconf.h)"
    if (tree / "source").is_symlink() and not (tree / "source").is_dir():
        return f"the sources of the build tree {tree} are not there ({(tree / 'source').readlink()})"
    if not (tree / f"arch/{arch.kbuild}").is_dir():
        return f"the build tree {tree} is not for {arch.name}"
    return _why_programs_fail(tree)


def _why_programs_fail(tree: Path) -> str:
    fixdep = tree / "scripts/basic/fixdep"
    if not fixdep.is_file():
        return f"the build tree {tree} lacks kbuild's own programs (scripts/basic/fixdep)"
    with fixdep.open("rb") as stream:
        machine = int.from_bytes(stream.read(20)[18:], "little")
    if machine != arches.host().elf_machine:
        return f"kbuild's own programs in {tree} do not run on {arches.host().name}"
    outside = fixdep.resolve()
    if not any(outside.is_relative_to(place) for place in whole_tree(tree)):
        return f"kbuild's own programs for {tree} lie elsewhere ({outside.parent.parent.parent})"
    return ""


def whole_tree(tree: Path) -> list[Path]:
    """The tree and the folders that it is nothing without: the sources of a build with O=, the trees that lie beside a
    distribution's and that it names by their installed paths."""
    tree = tree.resolve()
    packages = source_packages(tree)
    parts = [packages] if packages else [tree]
    if (tree / "source").is_dir():
        parts.append((tree / "source").resolve())
    return parts


def source_packages(tree: Path) -> Path | None:
    """The folder usr/src that a tree of a distribution's lies in, directly or in `kernels`."""
    for parent in tree.parents[:2]:
        if parent.parts[-2:] == ("usr", "src"):
            return parent
    return None


def tree_digest(tree: Path, arch: Arch) -> str:
    """Changes with whatever would change what is compiled against the tree: the content of what names symbols and
    settings, and path, size and time of every header, makefile and program of kbuild's."""
    total = hashlib.sha256(f"{tree}\n".encode())
    for name in (".config", "Module.symvers", "include/generated/autoconf.h", "include/config/kernel.release"):
        path = tree / name
        total.update(f"{name} {file_digest(path) if path.is_file() else ''}\n".encode())
    for place in whole_tree(tree):
        beside = place == source_packages(tree)
        trees = sorted(path for path in place.iterdir() if path.is_dir()) if beside else [place]
        for path in (path for one in trees for path in _inputs(one, arch)):
            info = path.lstat()
            total.update(f"{path}\0{info.st_size} {info.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def compiler_of(config: Path | None, tree: Path | None, banner: str) -> str:
    """The compiler that a kernel was built with, "gcc-12" or "clang-17"; empty where nothing tells."""
    for path in (config, tree / ".config" if tree else None):
        text = _read(path, LARGEST_CONFIG) if path else ""
        numbers = {name: int(number) // 10000 for name, number in _NUMBERS.findall(text)}
        for name in ("CLANG", "GCC"):
            if numbers.get(name):
                return f"{name.lower()}-{numbers[name]}"
    # Before 4.18 the configuration does not say.
    said = (_read(tree / "include/generated/compile.h", _NOTE) if tree else "") + "\n" + banner
    clang = _BANNER_CLANG.search(said)
    if clang:
        return f"clang-{clang[1]}"
    gcc = _BANNER_GCC.search(said)
    return f"gcc-{next(number for number in gcc.groups() if number)}" if gcc else ""


def _inputs(tree: Path, arch: Arch) -> Iterator[Path]:
    yield from (path for path in sorted(tree.iterdir()) if path.is_file() and path.suffix not in _OBJECTS)
    for part in (*_PARTS, f"arch/{arch.kbuild}"):
        for parent, folders, files in os.walk(tree / part):
            folders.sort()
            yield from (Path(parent) / name for name in sorted(files) if not name.endswith(_OBJECTS))


def _read(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(limit).decode(errors="replace")
    except OSError:
        return ""
