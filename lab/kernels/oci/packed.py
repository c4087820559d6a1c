"""Kernels that an image holds in packages or in an initrd instead of as files."""

from __future__ import annotations

import mmap
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from debian.arfile import ArError, ArFile

from lab.errors import ArchiveError, RequestError
from lab.kernels.oci.layers import Unpacker

_MOST_PACKAGES = 200
_INITRDS = ("boot/initrd", "boot/initrd.img", "initrd")
_NEWC = (b"070701", b"070702")
_HEADER = 110
_LONGEST_NAME = 4096


def unpack_packages(root: Path, unpacker: Unpacker, scratch: Path) -> None:
    """Unpack every .deb below `root` to where it belongs; RequestError when there are only packages of another kind.
    `scratch` is a file that may be written for the time being."""
    debs = [path for path in sorted(root.rglob("*.deb")) if path.is_file()][:_MOST_PACKAGES]
    if not debs and next(root.rglob("*.rpm"), None):
        raise RequestError(
            "the image holds its kernel in .rpm packages, which the lab does not unpack",
            hint="unpack them (rpm2cpio) into a folder, and name that with path:DIR",
        )
    for deb in debs:
        _content(deb, scratch)
        unpacker.archive(scratch)
        scratch.unlink()


def unpack_initrd_modules(root: Path, unpacker: Unpacker) -> None:
    """Put the modules that are in the initrd beside the kernel (and nowhere else) where modules belong."""
    if any((root / place).is_dir() and next((root / place).rglob("*.ko*"), None) for place in ("lib", "usr/lib")):
        return
    for name in _INITRDS:
        path = root / name
        if path.is_file() and path.stat().st_size > _HEADER:
            with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for found, content in _cpio_files(data):
                    if place := _module_place(found):
                        unpacker.put(place, content)
            return


def _content(deb: Path, scratch: Path) -> None:
    """The archive of files in a .deb, packed as it is there (what Debian packs them with, the unpacker reads)."""
    try:
        with deb.open("rb") as stream:
            members = [member for member in ArFile(fileobj=stream) if member.name.startswith("data.tar")]
            if len(members) != 1:
                raise ArchiveError(f"{deb.name} in the image is no Debian package")
            with scratch.open("wb") as target:
                while chunk := members[0].read(1 << 20):
                    target.write(chunk)
    except (ArError, ValueError) as error:
        raise ArchiveError(f"{deb.name} in the image is damaged: {error}") from error


def _module_place(path: PurePosixPath) -> str:
    """Where a file of an initrd goes below the kernel's folder; empty for what is no module."""
    parts = path.parts[1:] if path.parts[:1] == ("usr",) else path.parts
    return "/".join(parts) if parts[:2] == ("lib", "modules") and ".ko" in path.name else ""


def _cpio_files(data: mmap.mmap) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The regular files of a plain cpio archive in its "newc" form; it ends at whatever is none (a packed part)."""
    at = 0
    while at + _HEADER <= len(data) and data[at : at + 6] in _NEWC:
        try:
            fields = [int(data[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        except ValueError:
            return
        mode, size, name_size = fields[1], fields[6], fields[11]
        if name_size > _LONGEST_NAME:
            return
        name = data[at + _HEADER : at + _HEADER + name_size].rstrip(b"\0")
        start = at + (_HEADER + name_size + 3) // 4 * 4
        if name == b"TRAILER!!!" or start + size > len(data):
            return
        if stat.S_ISREG(mode):
            yield PurePosixPath(name.decode(errors="replace").lstrip("/")), data[start : start + size]
        at = start + (size + 3) // 4 * 4
