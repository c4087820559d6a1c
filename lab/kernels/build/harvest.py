"""What is kept of a compiled kernel: image, modules, debug information, and the tree that drivers are compiled in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from lab.arches import Arch
from lab.errors import BuildError

# Where kbuild leaves what QEMU starts, by architecture.
IMAGES: Mapping[str, str] = MappingProxyType({"amd64": "arch/x86/boot/bzImage", "arm64": "arch/arm64/boot/Image"})
DEBUG = "usr/lib/debug/boot"
_TOP = ("Makefile", "Kbuild", "Kconfig", ".config", "Module.symvers")
_PROGRAMS = ("tools/objtool/objtool", "tools/bpf/resolve_btfids/resolve_btfids")
_LEFT_OUT = (".o", ".cmd", ".d", ".a", ".ko", ".mod", ".tmp")


def harvest(tree: Path, installed: Path, arch: Arch, folder: Path) -> str:
    """Put what is kept into `folder`, laid out as a package's files are, and return the kernel's release.

    `installed` is what `make modules_install` made. BuildError when something is missing.
    """
    release = (tree / "include/config/kernel.release").read_text().strip()
    modules = installed / "lib/modules" / release
    for path in (tree / IMAGES[arch.name], tree / "vmlinux", tree / "Module.symvers", modules / "modules.builtin"):
        if not path.is_file():
            raise BuildError(
                f"the kernel was compiled, and there is no {path.name}", hint="remove its tree, then again"
            )
    for source, place in (
        (tree / IMAGES[arch.name], f"boot/vmlinuz-{release}"),
        (tree / ".config", f"boot/config-{release}"),
        (tree / "vmlinux", f"{DEBUG}/vmlinux-{release}"),
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, folder / place)
    shutil.copytree(
        modules, folder / "lib/modules" / release, symlinks=True, ignore=shutil.ignore_patterns("build", "source")
    )
    for path in _build_tree(tree, arch):
        target = folder / "usr/src" / f"linux-headers-{release}" / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
    return release


def _build_tree(tree: Path, arch: Arch) -> Iterator[Path]:
    """What a module's build reads of a tree: makefiles, headers, kbuild's own programs."""
    yield from (tree / name for name in (*_TOP, *_PROGRAMS) if (tree / name).is_file())
    own = tree / "arch" / arch.kbuild
    for part in (tree / "include", tree / "scripts", own / "include", own / "tools"):
        yield from _below(part)
    yield from (path for path in own.rglob("*") if path.name.startswith(("Makefile", "Kbuild", "Kconfig")))


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(parent) / name for name in sorted(files) if not name.endswith(_LEFT_OUT))
