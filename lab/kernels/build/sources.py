"""Sources of kernels: Debian's linux-source packages, or a folder or tarball of the user's, laid out to be compiled."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian.debian_support import Version

from lab import arches
from lab.archives.aptroot import AptRoot, Package
from lab.archives.debs import unpack_deb
from lab.archives.sources import Sources
from lab.errors import ArchiveError, RequestError
from lab.kernels.build.wish import Wish
from lab.process import run, which
from lab.settings import Settings
from lab.store import Store, file_digest

_UNPACK_DEADLINE = 1800.0
_STAMP = ".lab-source"
_SUFFIXES = (".tar.xz", ".tar.gz", ".tar.bz2", ".tar.zst", ".tar", ".tgz")


@dataclass(frozen=True)
class LinuxSource:
    """Sources: a tarball or a folder at `place`; `identity` changes with them, `provenance` tells where they are
    from."""

    place: Path
    identity: str
    provenance: dict[str, Any]


def find_source(wish: Wish, store: Store, settings: Settings, notice: Callable[[str], None]) -> LinuxSource:
    """The sources that the wish names, fetched when they are Debian's; RequestError when there are none."""
    if wish.source is None:
        return _debian(wish, store, settings, notice)
    if wish.source.is_dir():
        if not (wish.source / "Kconfig").is_file() or not (wish.source / "Makefile").is_file():
            raise RequestError(f"{wish.source} holds no sources of a kernel", hint="--source DIR with its Makefile")
        return LinuxSource(wish.source, _stat_digest(wish.source), {"source": str(wish.source)})
    if wish.source.is_file() and wish.source.name.endswith(_SUFFIXES):
        digest = file_digest(wish.source)
        return LinuxSource(wish.source, digest, {"source": str(wish.source), "sha256": digest})
    raise RequestError(f"{wish.source} is neither a folder nor a tarball", hint=f"--source DIR or *{_SUFFIXES[0]}")


def lay_out(source: LinuxSource, tree: Path) -> None:
    """Make `tree` hold the sources, with what was compiled in it before kept when they are the same ones.

    A run that was killed leaves nothing that looks whole. A user's folder is copied, only what changed in it.
    """
    if _is_laid_out(source, tree):
        return
    if source.place.is_dir():
        _copy_changed(source.place, tree)
    else:
        part = tree.with_name(f"{tree.name}.part")
        for old in (part, tree):
            shutil.rmtree(old, ignore_errors=True)
        part.mkdir(parents=True)
        words = [which("tar"), "--extract", "--file", str(source.place), "--directory", str(part), "--no-same-owner"]
        run([*words, "--strip-components=1"], deadline=_UNPACK_DEADLINE)
        if not (part / "Kconfig").is_file():
            raise RequestError(f"{source.place} holds no sources of a kernel", hint="one folder with all of them in it")
        part.rename(tree)
    (tree / _STAMP).write_text(source.identity)


def _is_laid_out(source: LinuxSource, tree: Path) -> bool:
    try:
        return (tree / _STAMP).read_text() == source.identity
    except FileNotFoundError:
        return False


def _debian(wish: Wish, store: Store, settings: Settings, notice: Callable[[str], None]) -> LinuxSource:
    name = f"linux-source-{wish.series}"
    found: list[tuple[AptRoot, Package]] = []
    for suite in Sources(settings).family(wish.suite):
        root = AptRoot(suite, arches.host(), store, settings, notice)
        root.refresh()
        found += [(root, package) for package in root.packages(name) if package.name == name]
    if not found:
        raise ArchiveError(f"{wish.suite} has no package {name}", hint="lab kernel build --source DIR")
    root, newest = max(found, key=lambda pair: Version(pair[1].version))
    inputs = {"package": newest.name, "version": newest.version, "sha256": newest.sha256, "layout": 1}

    def fill(folder: Path) -> dict[str, Any]:
        notice(f"fetching {newest.name} {newest.version}")
        deb = root.download(newest, folder)
        unpack_deb(deb, folder / "unpacked")
        deb.unlink()
        (tarball,) = (folder / "unpacked/usr/src").glob("linux-source-*.tar.*")
        tarball.rename(folder / tarball.name)
        shutil.rmtree(folder / "unpacked")
        return {**inputs, "suite": root.suite.name, "signed_by": root.signed_by()}

    entry = store.get("linux-source", inputs, fill)
    (tarball,) = entry.files.iterdir()
    return LinuxSource(tarball, newest.sha256, entry.provenance)


def _stat_digest(folder: Path) -> str:
    """Changes with every file below the folder that was written, without reading them all."""
    total = hashlib.sha256()
    for path, info in _files(folder):
        total.update(f"{path.relative_to(folder)}\0{info.st_size} {info.st_mtime_ns}\n".encode(errors="replace"))
    return total.hexdigest()


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        found += [(path, path.lstat()) for path in (Path(parent) / name for name in sorted(files))]
    return found


def _copy_changed(place: Path, tree: Path) -> None:
    """Copy what is newer or another size; what is gone from `place` goes, as far as it came from there."""
    listed = tree / f"{_STAMP}-files"
    before = set(listed.read_text().splitlines()) if listed.is_file() else set()
    now = {str(path.relative_to(place)): info for path, info in _files(place)}
    for name in before - now.keys():
        (tree / name).unlink(missing_ok=True)
    for name, info in now.items():
        target = tree / name
        if target.is_file() and not target.is_symlink():
            old = target.lstat()
            if (old.st_size, old.st_mtime_ns) == (info.st_size, info.st_mtime_ns):
                continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy2(place / name, target, follow_symlinks=False)
    listed.write_text("".join(f"{name}\n" for name in sorted(now)))
