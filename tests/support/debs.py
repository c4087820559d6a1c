"""Packages made by hand, with whatever members a hostile archive would put into them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"hostile", mode: int = 0o644) -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), mode, 1_000_000_000
    return info, content


def folder(name: str) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info, b""


def link(name: str, target: str | Path, kind: bytes = tarfile.SYMTYPE) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, str(target)
    return info, b""


def hard_link(name: str, target: str | Path) -> Member:
    return link(name, target, tarfile.LNKTYPE)


def special(name: str, kind: bytes) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.devmajor, info.devminor = kind, 1, 3
    return info, b""


def make_deb(path: Path, members: Iterable[Member]) -> Path:
    """A package with these members, laid out as deb(5) and ar(5) have it."""
    control = file("./control", b"Package: hostile\nVersion: 1\nArchitecture: all\n")
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar([control]),
        "data.tar.gz": _tar(members),
    }
    with path.open("wb") as stream:
        stream.write(b"!<arch>\n")
        for name, content in parts.items():
            stream.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            stream.write(content + b"\n" * (len(content) % 2))
    return path


def _tar(members: Iterable[Member]) -> bytes:
    packed = io.BytesIO()
    # USTAR would cut long names, and tarfile makes no absolute name relative when it writes.
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()
