"""Sysroots: what programs for guests are compiled and linked against, of the guest's architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.arches import Arch
from lab.images.recipe import RECIPES, read_recipe
from lab.images.roots import RootWish, get_root
from lab.settings import Settings
from lab.store import Store

_BASE = ("libc6-dev", "linux-libc-dev")


@dataclass(frozen=True)
class Sysroot:
    """A root with headers and libraries: what `--sysroot` is given."""

    root: Path
    key: str


def sysroot(
    arch: Arch, packages: Sequence[str], store: Store, settings: Settings, notice: Callable[[str], None]
) -> Sysroot:
    """The C library's headers and static libraries for `arch`, with `packages`, of the compilers' own suite."""
    suite = read_recipe(RECIPES / "builders" / "programs.toml").suite
    wish = RootWish(
        kind="builder",
        name="sysroot",
        suite=suite,
        packages=tuple(sorted({*_BASE, *packages})),
        arch=arch,
        inputs={"sysroot": arch.name, "layout": 1},
        notice=f"unpacking what programs for {arch.name} are linked against",
    )
    entry = get_root(wish, store, settings, notice, lambda _: {})
    return Sysroot(entry.files / "root", entry.key)
