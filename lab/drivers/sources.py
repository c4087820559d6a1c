"""A driver's sources: a folder, the user's own tree, or a Debian package, fetched once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian.debian_support import Version

from lab import lockfile
from lab.arches import host
from lab.archives.aptroot import AptRoot, Package
from lab.archives.debs import unpack_deb
from lab.archives.sources import Sources
from lab.drivers.manifest import DriverMode
from lab.drivers.schema import Source
from lab.errors import ArchiveError, BuildError
from lab.lockfile import LockedPackage
from lab.settings import Settings
from lab.store import Store, content_digest


@dataclass(frozen=True)
class Tree:
    """Sources as they lie here; `subfolder` of `folder` is what is built."""

    folder: Path
    subfolder: str
    key: str
    provenance: dict[str, Any]


def driver_sources(
    driver: DriverMode, source: Source, store: Store, settings: Settings, notice: Callable[[str], None]
) -> Tree:
    """The sources of the driver; BuildError or ArchiveError when they are not where its manifest, or the user, says."""
    if driver.source is None and source.package:
        tree = _fetch_package(source, store, settings, notice)
    else:
        folder = driver.source or driver.folder / source.folder
        if not folder.is_dir():
            hint = "correct --driver-src" if driver.source else "correct `folder` in driver.toml"
            raise BuildError(f"the sources of {driver.name} are not at {folder}", hint=hint)
        tree = Tree(folder, source.subfolder, content_digest(folder), {"folder": str(folder)})
    if not (tree.folder / tree.subfolder).is_dir():
        raise BuildError(
            f"the sources of {driver.name} at {tree.folder} have no folder {tree.subfolder}",
            hint="a tree of the same layout as the manifest's source is what is wanted",
        )
    return tree


def _fetch_package(source: Source, store: Store, settings: Settings, notice: Callable[[str], None]) -> Tree:
    archive = AptRoot(Sources(settings).suite(source.suite), host(), store, settings, notice)
    locked = lockfile.active(settings).source(source.package, source.suite)
    newest = locked.package() if locked else _newest(archive, source.package)
    inputs = {"package": newest.name, "version": newest.version, "sha256": newest.sha256, "layout": 2}

    def fill(folder: Path) -> dict[str, Any]:
        notice(f"fetching {newest.name} {newest.version}")
        (package,) = lockfile.fetch([LockedPackage.of(newest)], lambda wanted: archive.download(wanted, folder))
        unpack_deb(package, folder / "unpacked")
        package.unlink()
        signed_by = "" if locked else archive.signed_by()
        return {**inputs, "suite": source.suite, "signed_by": signed_by, "lock": LockedPackage.of(newest).model_dump()}

    entry = store.get("source", inputs, fill)
    folders = sorted((entry.files / "unpacked").glob(source.folder))
    if not folders:
        raise ArchiveError(f"{newest.name} {newest.version} holds no {source.folder}", hint="correct driver.toml")
    return Tree(folders[0], source.subfolder, entry.key, entry.provenance)


def _newest(archive: AptRoot, name: str) -> Package:
    archive.refresh()
    found = [package for package in archive.packages(name) if package.name == name]
    if not found:
        raise ArchiveError(f"{archive.suite.name} has no package {name}", hint="correct `source` in driver.toml")
    return max(found, key=lambda package: Version(package.version))
