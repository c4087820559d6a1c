"""A guest's root image: a recipe's packages and files as one read-only ext4."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.arches import Arch
from lab.images.recipe import RECIPES, read_recipe
from lab.images.roots import RootWish, get_root
from lab.process import run, which
from lab.settings import Settings
from lab.store import Store, content_digest, translate_disk_errors

_FOLDERS = ("proc", "sys", "dev", "run", "tmp", "work", "root", "mnt", "var/log", "etc/dropbear")
_LINKS = {"usr/sbin/init": "../bin/busybox"}
_FREE_MIB = 8  # room beside the files: the image is never written to
_DEADLINE = 300.0


@dataclass(frozen=True)
class Image:
    """A guest's root: `disk` is an ext4 without a partition table, `busybox` the static one for initrds."""

    name: str
    arch: Arch
    disk: Path
    busybox: Path
    key: str
    packages: dict[str, str]


def guest_image(
    arch: Arch,
    store: Store,
    settings: Settings,
    notice: Callable[[str], None],
    *,
    suite: str = "",
    extra: tuple[str, ...] = (),
) -> Image:
    """The image of recipe `images/guest`, with `extra` packages, of the recipe's suite or of `suite`; made when it is
    not in the store or its recipe changed."""
    folder = RECIPES / "guest"
    recipe = read_recipe(folder / "recipe.toml")
    suite = suite or recipe.suite
    more = f", with {', '.join(extra)} of {suite}" if extra else ""
    wish = RootWish(
        kind="image",
        name="guest",
        suite=suite,
        packages=tuple(sorted({*recipe.package_names(), *extra})),
        arch=arch,
        inputs={"files": content_digest(folder / "files"), "arch": arch.name, "layout": 2},
        notice=f"making the guest's root image for {arch.name}{more}",
    )

    def complete(place: Path) -> dict[str, Any]:
        tree = place / "root"
        _complete(tree, folder / "files")
        shutil.copy(tree / "usr/bin/busybox", place / "busybox")
        _make_disk(tree, place / "root.ext4", place / "mke2fs.log")
        shutil.rmtree(tree)
        return {"suite": suite}

    entry = get_root(wish, store, settings, notice, complete)
    return Image(
        "guest", arch, entry.files / "root.ext4", entry.files / "busybox", entry.key, entry.provenance["packages"]
    )


def _complete(tree: Path, files: Path) -> None:
    """Add what maintainer scripts would have made, which an extracted root never runs."""
    with translate_disk_errors(tree):
        for name in _FOLDERS:
            (tree / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(files, tree, dirs_exist_ok=True)
        for link, target in _LINKS.items():
            path = tree / link
            path.unlink(missing_ok=True)
            path.symlink_to(target)


def _make_disk(tree: Path, disk: Path, log: Path) -> None:
    """An ext4 of just the size it needs, without a journal (nobody writes), owned by root whoever made it."""
    blocks = int(run(["du", "-s", "--apparent-size", "-B", "4096", tree], deadline=_DEADLINE).text.split()[0])
    inodes = sum(1 for _ in tree.rglob("*")) + 64
    # 4 KiB blocks: file tails, directories and the inode table cost about a tenth on top of the content.
    size = blocks + inodes // 8 + blocks // 10 + _FREE_MIB * 256
    options = ["-t", "ext4", "-q", "-b", "4096", "-N", str(inodes), "-O", "^has_journal,^resize_inode", "-m", "0"]
    mke2fs = [which("mke2fs", package="e2fsprogs"), *options, "-d", str(tree), str(disk), str(size)]
    run([*_as_root(), *mke2fs], deadline=_DEADLINE, log=log)


def _as_root() -> list[str]:
    """What makes files of ours look like root's to mke2fs, when we are not root: a user namespace of our own."""
    return [] if os.getuid() == 0 else [which("unshare", package="util-linux"), "--map-root-user", "--"]
