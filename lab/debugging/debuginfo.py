"""A kernel's debug information: its own where it was compiled here, the archive's -dbg package where somebody asked."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import arches
from lab.archives.aptroot import AptRoot, Package
from lab.archives.debs import unpack_deb
from lab.archives.sources import Sources
from lab.archives.suites import DISTRIBUTIONS, family_names
from lab.errors import ArchiveError, LabError, UnsupportedError
from lab.kernels.kernel import Kernel, LocalTree
from lab.settings import Settings
from lab.store import Store

KIND = "kernel-debug"
_PLACES = ("usr/lib/debug/boot", "usr/lib/debug/lib/modules", "usr/lib/debug/usr/lib/modules")
_MOST_NOTES = 64 << 10
_BUILD_ID = 3  # NT_GNU_BUILD_ID
_SHT_NOTE = 7
_LITTLE_64 = b"\x7fELF\x02\x01"


class WrongSymbolsError(LabError):
    """The symbols are of another build than what runs."""


@dataclass(frozen=True)
class DebugInfo:
    """A kernel's `vmlinux` with debug information, and the folder with that of its modules where there is one."""

    vmlinux: Path
    modules: Path | None


def own_debug_info(kernel: Kernel) -> DebugInfo | None:
    """What lies beside the kernel itself: the lab's own and a user's build have it."""
    for parent in list(kernel.image.parents)[:5]:
        for place in (parent / f"usr/lib/debug/boot/vmlinux-{kernel.release}", parent / "vmlinux"):
            if place.is_file() and has_debug_info(place):
                return DebugInfo(place, None)
        if isinstance(kernel.headers, LocalTree) and parent == kernel.headers.folder:
            break
    return None


class DebugSource:
    """Debug information of an archive's kernels, in the store."""

    def __init__(self, store: Store, settings: Settings, notice: Callable[[str], None]) -> None:
        self._store = store
        self._settings = settings
        self._notice = notice

    def find(self, kernel: Kernel) -> DebugInfo | None:
        """What is there already, beside the kernel or in the store; nothing is fetched."""
        own = own_debug_info(kernel)
        entry = None if own else self._store.find(KIND, _inputs(kernel))
        return own or (_info(entry.files, kernel.release) if entry else None)

    def fetch(self, kernel: Kernel) -> DebugInfo:
        """What is there, else the archive's package, which for a small kernel has 300 MB and for others 1 GB.

        UnsupportedError when there is none.
        """
        found = self.find(kernel)
        if found:
            return found

        def fill(folder: Path) -> dict[str, Any]:
            root, package = self._package(kernel)
            self._notice(f"fetching {package.name} {package.version}")
            deb = root.download(package, folder)
            unpack_deb(deb, folder)
            deb.unlink()
            shutil.rmtree(folder / "usr/share", ignore_errors=True)
            _info(folder, kernel.release)
            return {"package": package.name, "version": package.version, "sha256": package.sha256}

        return _info(self._store.get(KIND, _inputs(kernel), fill).files, kernel.release)

    def _package(self, kernel: Kernel) -> tuple[AptRoot, Package]:
        distro, _, suite = kernel.origin.partition(":")
        if distro not in {known.name for known in DISTRIBUTIONS}:
            what = f"there is no debug information for kernel {kernel.release} ({kernel.origin})"
            raise UnsupportedError(what, hint="build it with CONFIG_DEBUG_INFO and leave its vmlinux beside it")
        name = f"linux-image-{kernel.release}-dbg"
        for member in family_names(suite):
            source = Sources(self._settings).suite(member, kernel.arch)
            root = AptRoot(source, kernel.arch, self._store, self._settings, self._notice)
            if not root.is_fresh():
                root.refresh()
            for package in root.packages(name):
                if (package.name, package.version) == (name, kernel.version):
                    return root, package
        what = f"the archive has no {name} {kernel.version}, the debug information of kernel {kernel.release}"
        raise UnsupportedError(what, hint="lab kernel list shows newer ones; or build one: lab kernel build 6.12+kgdb")


def _inputs(kernel: Kernel) -> dict[str, Any]:
    return {"release": kernel.release, "version": kernel.version, "arch": kernel.arch.name, "layout": 1}


def _info(files: Path, release: str) -> DebugInfo:
    vmlinux = files / _PLACES[0] / f"vmlinux-{release}"
    if not vmlinux.is_file():
        raise ArchiveError(f"the debug package of kernel {release} holds no vmlinux-{release}", hint="another kernel")
    folders = [files / place / release for place in _PLACES[1:]]
    return DebugInfo(vmlinux, next((folder for folder in folders if folder.is_dir()), None))


def has_debug_info(path: Path) -> bool:
    """Whether an ELF file of a 64-bit little-endian machine has DWARF in it."""
    return any(name in (".debug_info", ".zdebug_info") for name, _, _, _ in sections(path))


def build_id(path: Path) -> str:
    """The build id of an ELF file in hex; empty when it has none."""
    with path.open("rb") as stream:
        for _, kind, offset, size in sections(path):
            if kind == _SHT_NOTE and size <= _MOST_NOTES:
                stream.seek(offset)
                found = build_id_in(stream.read(size))
                if found:
                    return found
    return ""


def build_id_in(notes: bytes) -> str:
    """The build id among ELF notes, such as a guest's /sys/kernel/notes; empty when there is none."""
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name = notes[at + 12 : at + 12 + name_size]
        begin = at + 12 + (name_size + 3) // 4 * 4
        if kind == _BUILD_ID and name == b"GNU\0" and size <= 64:
            return notes[begin : begin + size].hex()
        at = begin + (size + 3) // 4 * 4
    return ""


def demand_same_build(path: Path, running: str, what: str) -> None:
    """WrongSymbolsError when the file's build id is not the one that runs; nothing is said when either has none."""
    own = build_id(path)
    if running and own and own != running:
        raise WrongSymbolsError(
            f"{path.name} is of another build than the {what} that runs: build id {own[:16]}, not {running[:16]}",
            hint="take the file that was built with it",
        )


def sections(path: Path) -> Iterator[tuple[str, int, int, int]]:
    """An ELF file's sections as name, type, offset and size; none for what is no ELF file of 64 bits."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(64)
        if len(head) < 64 or head[:6] != _LITTLE_64:
            return
        table, entry, count, names = struct.unpack_from("<Q10xHHH", head, 40)
        if entry != 64 or table + entry * count > size or names >= count:
            return
        stream.seek(table)
        rows = [struct.unpack_from("<IIQQQQ", stream.read(64)) for _ in range(count)]
        _, _, _, _, offset, length = rows[names]
        stream.seek(offset)
        strings = stream.read(min(length, 1 << 20))
        for name, kind, _, _, offset, length in rows:
            text = strings[name : strings.find(b"\0", name)].decode(errors="replace")
            yield text, kind, offset, length


def elf_arch(path: Path) -> str:
    """The architecture that an ELF file is for; empty when it is none that the lab knows."""
    with path.open("rb") as stream:
        head = stream.read(20)
    machine = int.from_bytes(head[18:20], "little") if head[:4] == b"\x7fELF" else 0
    return next((arch.name for arch in arches.ARCHES if arch.elf_machine == machine), "")
