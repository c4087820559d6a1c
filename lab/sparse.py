"""Files with holes: a guest's memory kept in a file is mostly holes, which need not be read to be known."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import BinaryIO

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_BLOCK = 512  # what st_blocks counts


def has_holes(stream: BinaryIO) -> bool:
    """Whether the file takes less room on its disk than it is long."""
    info = os.fstat(stream.fileno())
    return info.st_blocks * _BLOCK < info.st_size


def feed(stream: BinaryIO, take: Callable[[bytes | memoryview], object]) -> None:
    """Hand the whole content to `take`, a part at a time: what read() would give, with zeros for holes unread."""
    fd, place = stream.fileno(), 0
    size = os.fstat(fd).st_size
    while place < size:
        data = _seek(fd, place, os.SEEK_DATA, size)
        for start in range(place, data, _CHUNK):
            take(memoryview(_ZEROS)[: data - start])
        place, end = data, _seek(fd, data, os.SEEK_HOLE, size)
        while place < end:
            part = os.pread(fd, min(_CHUNK, end - place), place)
            if not part:
                return  # it was cut meanwhile
            take(part)
            place += len(part)


def _seek(fd: int, place: int, whence: int, size: int) -> int:
    """Where data, or a hole, comes next; the file's end when none does."""
    try:
        return min(os.lseek(fd, place, whence), size)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size
