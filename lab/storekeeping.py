"""Making room in the store, without ever taking what somebody uses. Nothing here has to write anything."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lab import holding
from lab.errors import RequestError
from lab.inventory import LEFTOVER, STATE, Item
from lab.store import Store

IN_USE = "in use"
_MADE_NOW = "being made now"
# Also of the locks that earlier versions made for folders being removed.
_ENTRY_LOCK = re.compile(r"([a-z]+)-([0-9a-f]{24})(?:-discarded)?")


@dataclass(frozen=True)
class Wish:
    """What shall go: only what meets all that is given. `before` in seconds since the epoch, `to_size` in bytes.

    With `to_size` no more goes than brings the whole store below it, least recently used first.
    """

    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    before: float | None = None
    to_size: int | None = None

    def asks(self) -> bool:
        """Does it ask for anything at all?"""
        return self != Wish()


@dataclass(frozen=True)
class Outcome:
    """What went (or would go), what stayed though it was meant, with the reason, and the store's size after it."""

    gone: tuple[Item, ...]
    kept: tuple[tuple[Item, str], ...]
    size: int


def candidates(items: Sequence[Item], wish: Wish) -> list[Item]:
    """What the wish names among `items`, in their order.

    RequestError for a name (`KIND/KEY`; the first characters of the key will do) that means none of them or several.
    """
    named = {_named(items, name) for name in wish.names}
    return [
        item
        for item in items
        if (not wish.kinds or item.kind in wish.kinds)
        and (not named or item in named)
        and (wish.before is None or item.used < wish.before)
    ]


def collect(store: Store, chosen: Sequence[Item], size: int, to_size: int | None, *, dry: bool = False) -> Outcome:
    """Remove the chosen entries of a store of `size` bytes, in their order: all, or until it has `to_size` or less.

    With `dry` nothing is removed, and what is in use is looked up all the same.
    """
    gone: list[Item] = []
    kept: list[tuple[Item, str]] = []
    for item in chosen:
        if to_size is not None and size <= to_size:
            break
        reason = remove(store, item, dry=dry)
        if reason:
            kept.append((item, reason))
            continue
        gone.append(item)
        size -= item.size
    return Outcome(tuple(gone), tuple(kept), size)


def remove(store: Store, item: Item, *, dry: bool = False) -> str:
    """Remove an entry; returns why it stays when it must, or nothing."""
    with _claimed(store, item.kind, item.key) as obstacle:
        if obstacle or dry:
            return obstacle
        store.discard(item.kind, item.key)
        return ""


def obstacle(store: Store, item: Item) -> str:
    """Why an entry could not be removed now, or nothing."""
    return remove(store, item, dry=True)


@dataclass(frozen=True)
class Rubbish:
    """What nobody needs: folders that nobody fills any more, old logs, locks of entries that are not there."""

    leftovers: tuple[Path, ...]
    logs: tuple[Path, ...]
    locks: tuple[Path, ...]


def rubbish(store: Store, before: float) -> Rubbish:
    """What could be tidied away; of the logs, those that were last written before that time."""
    logs = (path for path in sorted((store.root / "state" / "logs").glob("*.log")) if _older(path, before))
    locks = (path for path in sorted((store.root / "locks").glob("*.lock")) if _is_stale(store, path))
    return Rubbish(tuple(store.sweep(dry=True)), tuple(logs), tuple(locks))


def tidy(store: Store, found: Rubbish) -> None:
    """Remove it, but for what somebody took up in the meantime."""
    store.sweep()
    for log in found.logs:
        log.unlink(missing_ok=True)
    for path in found.locks:
        # Who waits for it sees that the file it has opened is nobody's any more, and opens the next one (filelock).
        with suppress(Timeout, OSError), FileLock(path).acquire(timeout=0):
            if _is_stale(store, path):
                path.unlink(missing_ok=True)


@contextmanager
def _claimed(store: Store, kind: str, key: str) -> Iterator[str]:
    """Keep an entry from being made and from being used while the block lasts; yields why that cannot be, or nothing.

    Nobody waits long for it: who finds the folder claimed waits for the entry's lock, as for a fill.
    """
    lock = FileLock(store.root / "locks" / f"{kind}-{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield _MADE_NOW
        return
    except OSError as error:
        yield f"its lock cannot be taken: {error.strerror}"
        return
    try:
        descriptor = holding.claim(store.root / "entries" / kind / key)
    except OSError as error:
        lock.release()
        yield f"whether it is in use cannot be known: {error.strerror}"
        return
    try:
        yield IN_USE if descriptor is None else ""
    finally:
        if descriptor is not None:
            os.close(descriptor)
        lock.release()


def _named(items: Sequence[Item], name: str) -> Item:
    kind, _, key = name.partition("/")
    if kind in (STATE, LEFTOVER):
        raise RequestError(f"{name!r} is no entry", hint="the state is kept; leftovers go with every removal")
    found = [item for item in items if item.kind == kind and key and item.key.startswith(key)]
    if len(found) == 1:
        return found[0]
    what = f"{name!r} means {len(found)} entries of the store" if found else f"the store has no entry {name!r}"
    raise RequestError(what, hint="lab gc lists them")


def _older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _is_stale(store: Store, path: Path) -> bool:
    """Is it the lock of an entry, and no such entry is there? Other locks are few, and stay."""
    match = _ENTRY_LOCK.fullmatch(path.stem)
    return match is not None and not any(
        place.exists() for place in (store.root / "entries" / match[1] / match[2], store.root / "tmp" / path.stem)
    )
