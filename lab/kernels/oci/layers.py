"""Layers of container images: archives of strangers, unpacked into one folder and never beside it."""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lab.errors import ArchiveError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_BYTES = 8 << 30  # that one image's files may have together, unpacked
MOST_MEMBERS = 500_000
_DEEPEST = 100  # folders: what lies deeper could not even be removed (shutil.rmtree goes down by recursion)
_CHUNK = 1 << 20
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
# What a disk says to names that no honest archive holds: a folder below a file, a name of 300 characters.
_CONFLICTS = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
_HINT = "do not use this image; tell those who made it"


class Unpacker:
    """Unpacks archives into `root`, one over the other, with one limit for all of them.

    What leads out of `root` is refused (ArchiveError), devices are left out; files get no owner, time or set-user bit.
    """

    def __init__(self, root: Path, *, most_bytes: int = MOST_BYTES, most_members: int = MOST_MEMBERS) -> None:
        self._root = root.resolve()
        self._bytes = most_bytes
        self._members = most_members

    def layer(self, archive: Path) -> None:
        """A layer over what is there: first what it takes away from the layers below, then what it brings."""
        with _members(archive) as (_, members):
            for member in members:
                self._count()
                path = PurePosixPath(member.name)
                if path.name.startswith(_WHITEOUT):
                    self._take_away(path)
        self.archive(archive)

    def archive(self, archive: Path) -> None:
        """A tar archive, plain or packed with gzip, xz or zstd."""
        with _members(archive) as (tar, members):
            for member in members:
                self._count()
                if not PurePosixPath(member.name).name.startswith(_WHITEOUT):
                    self._bring(tar, member)

    def put(self, name: str, content: bytes) -> None:
        """One file, by its path below the root."""
        self._count()
        self._spend(len(content))
        with _honest():
            place = self._place(PurePosixPath(name))
            _remove(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def _spend(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise ArchiveError("the image is larger than the lab unpacks", hint=_HINT)

    def _count(self) -> None:
        self._members -= 1
        if self._members < 0:
            raise ArchiveError("the image has more files than the lab unpacks", hint=_HINT)

    def _take_away(self, marker: PurePosixPath) -> None:
        folder = self._place(marker).parent
        if not folder.is_dir():
            return
        name = marker.name.removeprefix(_WHITEOUT)
        for path in list(folder.iterdir()) if marker.name == _OPAQUE else [folder / name]:
            if path.parent == folder and name not in ("", ".", ".."):
                _remove(path)

    def _bring(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        place = self._place(PurePosixPath(member.name))
        if place == self._root:
            return
        if member.isdir():
            if place.is_symlink() or not place.is_dir():
                _remove(place)
                place.mkdir(parents=True)
            return
        if not (member.isreg() or member.issym() or member.islnk()):
            return
        if member.islnk():
            self._link(member, place)
            return
        _remove(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.issym():
            place.symlink_to(self._target(member, place))
        else:
            self._write(tar, member, place)

    def _place(self, path: PurePosixPath) -> Path:
        """Where a member goes. Links on the way were checked when they were made, and lead nowhere else."""
        parts = [part for part in path.parts if part != "."]
        if path.is_absolute() or ".." in parts or "\0" in str(path):
            raise ArchiveError(f"the image holds a file outside of itself: {str(path)[:200]!r}", hint=_HINT)
        if len(parts) > _DEEPEST:
            raise ArchiveError(f"the image holds a file more than {_DEEPEST} folders deep", hint=_HINT)
        if not parts:
            return self._root
        parent = self._inside(self._root.joinpath(*parts[:-1]), str(path))
        if parent.exists() and not parent.is_dir():
            _remove(parent)
        return parent / parts[-1]

    def _inside(self, path: Path, name: str) -> Path:
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError) as error:
            raise ArchiveError(f"the image holds links that lead in a circle: {name[:200]!r}", hint=_HINT) from error
        if not resolved.is_relative_to(self._root):
            raise ArchiveError(f"the image holds a file outside of itself: {name[:200]!r}", hint=_HINT)
        return resolved

    def _target(self, member: tarfile.TarInfo, place: Path) -> str:
        """A link's target, relative: an absolute one means the image's own root, as it would in a container."""
        target = PurePosixPath(member.linkname)
        start = self._root if target.is_absolute() else place.parent
        wanted = Path(os.path.normpath(start.joinpath(*[part for part in target.parts if part != "/"])))
        if not wanted.is_relative_to(self._root):
            raise ArchiveError(f"the image holds a link that leads out of it: {member.name[:200]!r}", hint=_HINT)
        relative = os.path.relpath(wanted, place.parent)
        self._inside(place.parent / relative, member.name)
        return relative

    def _link(self, member: tarfile.TarInfo, place: Path) -> None:
        source = self._place(PurePosixPath(member.linkname))
        if source == place:
            return
        if source.is_symlink() or not source.is_file():
            raise ArchiveError(f"the image holds a link to nothing: {member.name[:200]!r}", hint=_HINT)
        _remove(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, place)

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        self._spend(member.size)
        content = tar.extractfile(member)
        assert content is not None, "a regular file has content"  # noqa: S101 - tarfile's promise
        with content, place.open("xb") as stream:
            shutil.copyfileobj(content, stream, _CHUNK)
        place.chmod(0o755 if member.mode & 0o111 else 0o644)


class _Sipped(io.BufferedIOBase):
    """A stream that is read in bounded pieces: tarfile takes a header of any size into memory."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _CHUNK:
            raise ArchiveError("a layer of the image holds a header that is too large", hint=_HINT)
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


@contextmanager
def _members(archive: Path) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """The archive's members, read as a stream; ArchiveError when it is damaged or none."""
    try:
        with _honest(), _opened(archive) as stream, tarfile.open(fileobj=_Sipped(stream), mode="r:") as tar:
            yield tar, iter(tar)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
        raise ArchiveError(f"a layer of the image is no archive that the lab can read: {error}") from error


@contextmanager
def _honest() -> Iterator[None]:
    """Turn what a disk says to such names into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in _CONFLICTS:
            raise
        raise ArchiveError(f"the image cannot be unpacked: {error.strerror}: {error.filename}", hint=_HINT) from error


def _opened(archive: Path) -> io.BufferedIOBase:
    with archive.open("rb") as stream:
        magic = stream.read(6)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(archive)
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        return zstd.open(archive)
    return lzma.open(archive) if magic == b"\xfd7zXZ\0" else archive.open("rb")
