"""Archives in cpio's "newc" form, the only one the kernel unpacks as an initramfs (its
Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class CpioFile:
    """A regular file to be: its content and permission bits."""

    data: bytes
    mode: int = 0o644


def cpio_archive(files: Mapping[str, CpioFile], folders: tuple[str, ...] = ()) -> bytes:
    """An archive of these files (path -> file), the folders they need, and `folders`; owned by root, time zero."""
    needed = {str(parent) for path in files for parent in PurePosixPath(path).parents if str(parent) != "."}
    parts = []
    inode = 1
    for folder in sorted(needed | set(folders)):
        parts.append(_member(folder, stat.S_IFDIR | 0o755, b"", inode))
        inode += 1
    for path, file in files.items():
        parts.append(_member(path, stat.S_IFREG | file.mode, file.data, inode))
        inode += 1
    parts.append(_member(_TRAILER, 0, b"", 0))
    return b"".join(parts)


def _member(path: str, mode: int, data: bytes, inode: int) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = _MAGIC + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
