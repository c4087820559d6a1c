"""Packages as apt's lists describe them, read as a stream: a list is up to 65 MB of text."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from debian.deb822 import Deb822

from lab.errors import ArchiveError

_CHUNK = 1 << 20
_FIRST = b"Package: "


@dataclass(frozen=True)
class Package:
    """One version of one package in one suite. `filename` is relative to the archive, `size` in bytes."""

    name: str
    version: str
    arch: str
    sha256: str
    size: int
    filename: str
    depends: str
    suite: str


def read(path: Path, prefixes: tuple[str, ...], suite: str) -> Iterator[Package]:
    """The packages in the list at `path` whose name starts with one of `prefixes`, in its order."""
    wanted = tuple(_FIRST + prefix.encode() for prefix in prefixes)
    with _open(path) as stream:
        for stanza in _stanzas(stream):
            if stanza.startswith(wanted):
                yield _package(stanza, suite)


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".xz":
        return lzma.open(path)
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if path.name.endswith("_Packages"):
        return path.open("rb")
    raise ArchiveError(f"{path} is compressed in a way the lab does not read", hint="use another mirror")


def _stanzas(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n\n")
        yield from whole
    if rest.strip():
        yield rest


def _package(stanza: bytes, suite: str) -> Package:
    fields = Deb822(stanza.decode(errors="replace"))
    try:
        return Package(
            name=fields["Package"],
            version=fields["Version"],
            arch=fields["Architecture"],
            sha256=fields["SHA256"],
            size=int(fields["Size"]),
            filename=fields["Filename"],
            depends=fields.get("Depends", ""),
            suite=suite,
        )
    except KeyError as error:
        raise ArchiveError(
            f"a package in the list of {suite} has no {error.args[0]}", hint="use another mirror"
        ) from error
