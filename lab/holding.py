"""Who uses what in the store: whoever got an entry holds a shared lock on its folder until the process ends.

It is flock(2) on the folder itself: no file has to be written for it, it moves with the folder, and the kernel gives it
up however its holder ends. A machine needs none of its own, for it dies with the process that started it. The time of
the folder's last change says when the entry was last used.
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from contextlib import suppress
from pathlib import Path


class Holds:
    """The entries' folders that this process uses, until this object is gone."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}
        self._mutex = threading.Lock()
        weakref.finalize(self, _close, self._held)

    def take(self, place: Path) -> bool:
        """Hold the folder that is at `place` and note that it is used now.

        False when none is there, or somebody is about to take it away.
        """
        with self._mutex:
            known = self._held.get(place)
            descriptor = known if known is not None and _is_at(known, place) else _lock(place, fcntl.LOCK_SH)
            if descriptor is None:
                return False
            self._held[place] = descriptor
            if known not in (None, descriptor):
                os.close(known)
            with suppress(OSError):  # a store that we may only read
                os.utime(descriptor)
        return True

    def places(self) -> list[Path]:
        """The folders that are held."""
        with self._mutex:
            return sorted(self._held)


def claim(place: Path) -> int | None:
    """A descriptor that keeps everybody from using the folder at `place` until it is closed; None when it is in use.

    Only for who also holds the entry's lock, else a `take` might fail for no reason. Raises OSError where nobody could
    know: FileNotFoundError when there is no folder, another when its file system has no such locks.
    """
    return _lock(place, fcntl.LOCK_EX)


def last_used(place: Path) -> float:
    """When the entry in that folder was last used, in seconds since the epoch."""
    return place.stat().st_mtime


def _lock(place: Path, how: int) -> int | None:
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if how == fcntl.LOCK_SH:
            return None
        raise
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        held = True
    except BlockingIOError:
        held = False
    except OSError:
        # Some network file systems lock no folders. To use an entry there is no harm: nobody can claim it either.
        held = how == fcntl.LOCK_SH
        if not held:
            os.close(descriptor)
            raise
    if held and _is_at(descriptor, place):
        return descriptor
    os.close(descriptor)
    return None


def _is_at(descriptor: int, place: Path) -> bool:
    """Is the open folder still the one at `place`?"""
    try:
        return os.path.samestat(os.fstat(descriptor), place.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _close(held: dict[Path, int]) -> None:
    for descriptor in held.values():
        os.close(descriptor)
