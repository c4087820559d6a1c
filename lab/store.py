"""Everything fetched or built: kept by content, filled under a lock, put in place by a rename, checked on use.

An entry is a folder `entries/<kind>/<key>/` made from inputs that are all in its key. Beside its files lie
`entry.json` (inputs, provenance, a digest of every file's content) and `seen.json` (the files' stat data when the
content was last checked): as long as no file's stat data changed, the content is not read again.

Whoever got an entry holds it (lab/holding.py) as long as its `Store` lives: lab/storekeeping.py removes only what
nobody holds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab import sparse
from lab.errors import HostError, LabError, NoSpaceError
from lab.holding import Holds

_MAKE_ROOM = "lab gc lists what can go; or set LAB_STORE to another disk"
_LOCK_DEADLINE = 3600.0
_DISCARDED = "-discarded"

Json = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """Something in the store: its folder of files, what it was made from and where that came from.

    `key` tells what was asked for, `content` (a digest of the files) what came of it: an archive may have moved on.
    """

    kind: str
    key: str
    files: Path
    provenance: Json
    content: str


class Store:
    """The store below one folder. Safe for several processes at once."""

    def __init__(self, root: Path, *, min_free_mib: int = 0, notice: Callable[[str], None] = lambda _: None) -> None:
        self.root = root
        self._min_free = min_free_mib << 20
        self._notice = notice
        self._holds = Holds()
        with translate_disk_errors(root):
            for name in ("entries", "locks", "tmp", "state"):
                (root / name).mkdir(parents=True, exist_ok=True)

    def get(self, kind: str, inputs: Json, fill: Callable[[Path], Json]) -> Entry:
        """The entry made from `inputs`, made now by `fill(folder)` when it is not there or is damaged.

        `fill` puts files into the empty folder it is given and returns the provenance. Only one process fills an
        entry; the others wait for it. A fill that fails leaves nothing behind.
        """
        key = key_of(inputs)
        found = self.find(kind, inputs)
        if found:
            return found
        with self.lock(f"{kind}-{key}"):
            found = self.find(kind, inputs)
            if found:
                return found
            return self._fill(kind, key, inputs, fill)

    def find(self, kind: str, inputs: Json) -> Entry | None:
        """The entry made from `inputs`, if it is there and whole; a damaged one is removed and None returned.

        What is found is held, and counts as used now.
        """
        key = key_of(inputs)
        place = self._place(kind, key)
        found = self._use(kind, place)
        if found is not None or not place.exists():
            return found
        with self.lock(f"{kind}-{key}"):
            # Looked at again: who held the lock before us may have made it again.
            found = self._use(kind, place)
            if found is None and place.exists():
                self._notice(f"{kind} {key} in the store is damaged: making it again")
                self.discard(kind, key)
            return found

    def has(self, kind: str, inputs: Json) -> bool:
        """Is there such an entry? To ask is no use of it, and does not tell whether it is whole."""
        return (self._place(kind, key_of(inputs)) / "entry.json").is_file()

    def used(self) -> list[Entry]:
        """The entries that were got or found through this object, by kind and key."""
        found = (_whole(place.parent.name, place) for place in self._holds.places())
        return [entry for entry in found if entry is not None]

    def state(self, name: str) -> Path:
        """A folder that outlives runs and is not content-addressed (apt's lists, verdicts of probes)."""
        folder = self.root / "state" / name
        with translate_disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty folder on the store's disk, for one user at a time and as long as the block lasts."""
        with self.lock(name):
            folder = self.root / "tmp" / name
            remove_tree(folder)
            try:
                with translate_disk_errors(self.root):
                    folder.mkdir()
                yield folder
            finally:
                remove_tree(folder)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the store's lock of that name, within this process and against others."""
        lock = FileLock(self.root / "locks" / f"{name}.lock", is_singleton=True)
        try:
            with translate_disk_errors(self.root):
                lock.acquire(timeout=_LOCK_DEADLINE)
        except Timeout as error:
            raise LabError(
                f"another run held {name} for {_LOCK_DEADLINE / 60:.0f} minutes", hint="end it, then run again"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def sweep(self, *, dry: bool = False) -> list[Path]:
        """Remove what killed runs left half made, any temporary folder whose lock nobody holds; returns those.

        With `dry` they are only returned.
        """
        left: list[Path] = []
        for folder in sorted((self.root / "tmp").iterdir()):
            lock = FileLock(self.root / "locks" / f"{folder.name.removesuffix(_DISCARDED)}.lock")
            # Tidying only: a lock that somebody holds, or that cannot be made on a full disk, keeps nobody from a run.
            with suppress(Timeout, OSError), lock.acquire(timeout=0):
                left.append(folder)
                if not dry:
                    remove_tree(folder)
        return left

    def discard(self, kind: str, key: str) -> None:
        """Take an entry away in one step, so that no reader ever sees half of it. The caller holds the entry's lock."""
        place = self._place(kind, key)
        aside = self.root / "tmp" / f"{kind}-{key}{_DISCARDED}"
        remove_tree(aside)
        with suppress(FileNotFoundError):
            place.rename(aside)
        remove_tree(aside)

    def _place(self, kind: str, key: str) -> Path:
        return self.root / "entries" / kind / key

    def _use(self, kind: str, place: Path) -> Entry | None:
        # Held before it is looked at: from then on nobody takes it away.
        return _whole(kind, place) if self._holds.take(place) else None

    def _fill(self, kind: str, key: str, inputs: Json, fill: Callable[[Path], Json]) -> Entry:
        self._demand_space()
        making = self.root / "tmp" / f"{kind}-{key}"
        remove_tree(making)
        place = self._place(kind, key)
        try:
            with translate_disk_errors(self.root):
                files = making / "files"
                files.mkdir(parents=True)
                provenance = fill(files)
                record: Json = {"inputs": inputs, "provenance": provenance, "content": content_digest(files)}
                (making / "entry.json").write_text(json.dumps(record, indent=1, sort_keys=True))
                place.parent.mkdir(parents=True, exist_ok=True)
                self.discard(kind, key)
                making.rename(place)
        finally:
            remove_tree(making)
        _remember(place)
        self._holds.take(place)
        return Entry(kind, key, place / "files", provenance, str(record["content"]))

    def _demand_space(self) -> None:
        free = shutil.disk_usage(self.root).free
        if free < self._min_free:
            raise NoSpaceError(
                f"{free >> 20} MiB are free at {self.root}, and {self._min_free >> 20} MiB are needed",
                hint=_MAKE_ROOM,
            )


@contextmanager
def translate_disk_errors(root: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into the sentence a user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(f"no space left on the disk of {root}", hint=_MAKE_ROOM) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise HostError(
                f"{error.filename or root} cannot be written: {error.strerror}",
                hint="set LAB_STORE to a folder of yours",
            ) from error
        raise


def key_of(inputs: Mapping[str, Any]) -> str:
    """The key of an entry: a digest of everything it is made from."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]


def remove_tree(path: Path) -> None:
    """Remove a folder, or whatever is there, as far as it can be; packages bring folders that not even we may write."""
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):
            shutil.rmtree(path)
            return
        for parent, folders, _ in os.walk(path):
            for folder in [Path(parent), *(Path(parent) / name for name in folders)]:
                with suppress(OSError):
                    if not folder.is_symlink():
                        folder.chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as stream:
        if not sparse.has_holes(stream):
            return hashlib.file_digest(stream, "sha256").hexdigest()
        total = hashlib.sha256()
        sparse.feed(stream, total.update)
        return total.hexdigest()


def content_digest(folder: Path) -> str:
    """One digest over every file's path, type and content below `folder`."""
    total = hashlib.sha256()
    for path, info in _walk(folder):
        if path.is_symlink():
            content = f"-> {path.readlink()}"
        elif path.is_file():
            content = file_digest(path)
        else:
            content = oct(info.st_mode)
        total.update(f"{path.relative_to(folder)}\0{content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(parent) / name
            yield path, path.lstat()


def _stat_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path, info in _walk(folder):
        # ctime moves with every write and cannot be set back by a program; atime and directories' times say nothing.
        times = () if stat.S_ISDIR(info.st_mode) else (info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino)
        total.update(f"{path}\0{times}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _remember(place: Path) -> None:
    # Only a note that saves a reading: a disk that is full or read-only keeps nobody from what is whole.
    with suppress(OSError):
        (place / "seen.json").write_text(json.dumps({"stat": _stat_digest(place / "files")}))


def _whole(kind: str, place: Path) -> Entry | None:
    """The entry at that place; None when it is not there, or not as it was made."""
    record = _read_json(place / "entry.json")
    if record is None or not isinstance(record.get("provenance"), dict) or not isinstance(record.get("content"), str):
        return None
    try:
        intact = _intact(place, record)
    except FileNotFoundError:  # somebody is taking it away
        return None
    return Entry(kind, place.name, place / "files", record["provenance"], record["content"]) if intact else None


def _intact(place: Path, record: Json) -> bool:
    seen = _read_json(place / "seen.json")
    if seen is not None and seen.get("stat") == _stat_digest(place / "files"):
        return True
    if content_digest(place / "files") != record.get("content"):
        return False
    _remember(place)
    return True


def _read_json(path: Path) -> Json | None:
    """The file's object, or None when it is absent or not JSON: a damaged record counts as no record."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None
