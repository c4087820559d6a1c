"""Roots out of packages, kept in the store: guests', builders', the lab's QEMU's; to the bit where lab.lock says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import lockfile
from lab.arches import Arch
from lab.archives.bootstrap import Exact, Extracted, RootRecipe, extract_root
from lab.archives.sources import Sources
from lab.lockfile import LockedFile, LockedRoot
from lab.settings import Settings
from lab.store import Entry, Store, key_of

_NO_PINS: Mapping[str, Exact] = {}


@dataclass(frozen=True)
class RootWish:
    """A root: `packages` of `suite` and all they need, for `arch`.

    `kind` is the store's and lab.lock's (image, builder, qemu), `name` tells several of a kind apart. `inputs` is
    what else the entry is made from, `notice` what the user is told when it is made.
    """

    kind: str
    name: str
    suite: str
    packages: tuple[str, ...]
    arch: Arch
    inputs: Mapping[str, Any]
    notice: str


def tool_root(
    package: str, suite: str, arch: Arch, store: Store, settings: Settings, notice: Callable[[str], None]
) -> Path:
    """The root with a package whose programs are put into guests of that architecture."""
    wish = RootWish(
        kind="tool",
        name=package,
        suite=suite,
        packages=(package,),
        arch=arch,
        inputs={"arch": arch.name, "layout": 1},
        notice=f"unpacking {package} for {arch.name} guests",
    )
    return get_root(wish, store, settings, notice, lambda _: {}).files / "root"


def get_root(
    wish: RootWish,
    store: Store,
    settings: Settings,
    notice: Callable[[str], None],
    complete: Callable[[Path], dict[str, Any]],
) -> Entry:
    """The entry whose folder `root` holds that root, from the store or made now; what is locked is made of the very
    packages that lab.lock names.

    `complete(folder)` makes of the folder with the extracted `root` what the entry shall be, and returns its provenance
    beside the packages.
    """
    inputs: dict[str, Any] = {"suite": wish.suite, "packages": wish.packages, **wish.inputs}
    locked = lockfile.active(settings).root(wish.kind, wish.name, wish.arch.name, wish.suite, wish.packages)
    if locked is not None:
        wanted = locked.model_dump()["packages"]
        there = store.find(wish.kind, inputs)
        if there is not None and there.provenance["lock"]["packages"] == wanted:
            return there
        inputs["pins"] = key_of(wanted)

    def fill(folder: Path) -> dict[str, Any]:
        notice(wish.notice)
        root = folder / "root"
        root.mkdir()
        recipe = RootRecipe(Sources(settings).family(wish.suite), wish.packages, wish.arch)
        pins = locked.pins() if locked else _NO_PINS
        # Not in the folder, which is gone when this fails.
        log = store.state("logs") / f"{wish.kind}-{key_of(inputs)}.log"
        log.unlink(missing_ok=True)
        done = extract_root(recipe, root, settings=settings, log=log, notice=notice, pins=pins)
        return {"packages": done, "lock": _record(wish, done).model_dump(), **complete(folder)}

    return store.get(wish.kind, inputs, fill)


def _record(wish: RootWish, done: Extracted) -> LockedRoot:
    files = {name: LockedFile(version=version, sha256=done.digests[name]) for name, version in done.items()}
    return LockedRoot.model_validate(
        {
            "kind": wish.kind,
            "name": wish.name,
            "arch": wish.arch.name,
            "suite": wish.suite,
            "wanted": tuple(sorted(wish.packages)),
            "packages": files,
        }
    )
