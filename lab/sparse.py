"""Files with holes: a guest's memory kept in a file is mostly holes, which need not be read to be known."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_BLOCK = 512  # what st_blocks counts
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h


def has_holes(stream: BinaryIO) -> bool:
    """Whether the file takes less room on its disk than it is long."""
    info = os.fstat(stream.fileno())
    return info.st_blocks * _BLOCK < info.st_size


def feed(stream: BinaryIO, take: Callable[[bytes | memoryview], object]) -> None:
    """Hand the whole content to `take`, a part at a time: what read() would give, with zeros for holes unread."""
    fd = stream.fileno()
    for start, data, end in _parts(fd):
        for place in range(start, data, _CHUNK):
            take(memoryview(_ZEROS)[: data - place])
        place = data
        while place < end:
            part = os.pread(fd, min(_CHUNK, end - place), place)
            if not part:
                return  # it was cut meanwhile
            take(part)
            place += len(part)


def reserve(path: Path, size: int) -> bool:
    """Make a file of `size` bytes, all zeros, whose room on the disk is its own; it still takes no time to write.

    False when the file system knows no such thing: the file is then one hole. Raises OSError when there is no room.
    """
    with path.open("xb") as stream:
        stream.truncate(size)
        return _fallocate(stream.fileno(), 0, 0, size)


def release(path: Path) -> None:
    """Give back what was reserved for the file and never written."""
    with path.open("r+b") as stream:
        fd = stream.fileno()
        for start, data, _ in _parts(fd):
            if start < data:
                _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, start, data - start)


def _parts(fd: int) -> Iterator[tuple[int, int, int]]:
    """The file as holes with data behind them: where the hole begins, where the data does, and where that ends."""
    place, size = 0, os.fstat(fd).st_size
    while place < size:
        data = _seek(fd, place, os.SEEK_DATA, size)
        end = _seek(fd, data, os.SEEK_HOLE, size)
        yield place, data, end
        place = end


def _fallocate(fd: int, mode: int, start: int, length: int) -> bool:
    """fallocate(2), which Python has not: False when the file system has it neither."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_int(fd), ctypes.c_int(mode), ctypes.c_int64(start), ctypes.c_int64(length))
    while libc.fallocate(*words) != 0:
        error = ctypes.get_errno()
        if error == errno.EOPNOTSUPP:
            return False
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))
    return True


def _seek(fd: int, place: int, whence: int, size: int) -> int:
    """Where data, or a hole, comes next; the file's end when none does."""
    try:
        return min(os.lseek(fd, place, whence), size)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size
