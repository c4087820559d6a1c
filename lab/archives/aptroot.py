"""A private apt root for one suite and architecture: never the host's lists, always signatures checked."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lab import process
from lab.arches import Arch
from lab.archives import aptconf, release, stanzas
from lab.archives.sources import Suite
from lab.archives.stanzas import Package
from lab.errors import ArchiveError
from lab.process import ProgramFailedError
from lab.settings import Settings
from lab.store import Store, file_digest

__all__ = ["AptRoot", "Package"]

_HELPER = "/usr/lib/apt/apt-helper"
_UPDATE_DEADLINE = 300.0
_DOWNLOAD_DEADLINE = 1800.0


class AptRoot:
    """One suite as apt sees it, kept in the store's state; safe for several processes at once."""

    def __init__(
        self, suite: Suite, arch: Arch, store: Store, settings: Settings, notice: Callable[[str], None]
    ) -> None:
        self.suite = suite
        self.arch = arch
        self._store = store
        self._settings = settings
        self._notice = notice
        # The line is part of the name: another mirror must not inherit this one's lists as its own.
        self._name = f"{suite.name}-{arch.name}-{hashlib.sha256(suite.line().encode()).hexdigest()[:8]}"
        self._root = store.state(f"apt/{self._name}")

    def refresh(self) -> None:
        """Read the suite's lists again when they are older than settings.catalog_hours.

        With the archive silent and old lists at hand: a notice. Raises ArchiveError when it is silent and there are
        none, and always when a signature, a hash or a date is wrong. Offline any lists will do.
        """
        if not self.is_fresh():
            with self._store.lock(f"apt-{self._name}"):
                if not self.is_fresh():
                    self._update()
        self.warn_if_expired()

    def is_fresh(self) -> bool:
        """Are there lists that are not older than settings.catalog_hours, or, offline, any?"""
        if self._settings.offline:
            return self._in_release() is not None
        try:
            age = time.time() - (self._root / "updated").stat().st_mtime
        except FileNotFoundError:
            return False
        return age < self._settings.catalog_hours * 3600 and self._in_release() is not None

    def warn_if_expired(self) -> None:
        """Give the notice that the suite's Release is past its Valid-Until, when it is."""
        path = self._in_release()
        warning = release.expiry_notice(path, self.suite.name) if path else ""
        if warning:
            self._notice(warning)

    def packages(self, *prefixes: str) -> list[Package]:
        """Every version of every package whose name starts with one of `prefixes`; ArchiveError without lists.

        A suite that does not have the architecture has no packages.
        """
        path = self._list()
        if path is None and self._in_release() is not None:
            return []
        if path is None:
            aptconf.demand_online(self._settings, f"the list of {self.suite.name} for {self.arch.name}")
            raise ArchiveError(f"there are no lists of {self.suite.name}", hint="check the network, then run again")
        info = path.stat()
        stamp = [path.name, info.st_mtime_ns, info.st_size]
        digest = hashlib.sha256("\0".join(prefixes).encode()).hexdigest()[:8]
        cache = self._root / f"packages-{digest}.json"
        try:
            kept = json.loads(cache.read_bytes())
            if kept["stamp"] == stamp:
                return [Package(**fields) for fields in kept["packages"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # absent or damaged: read the list itself
        try:
            found = list(stanzas.read(path, prefixes, self.suite.name))
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            self._forget()
            raise ArchiveError(
                f"the list of {self.suite.name} is damaged", hint="run again to fetch it anew"
            ) from error
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({"stamp": stamp, "packages": [asdict(package) for package in found]}))
        part.rename(cache)
        return found

    def signed_by(self) -> str:
        """The fingerprint of the key that signed the suite's lists, checked now."""
        path = self._in_release()
        if path is None:
            raise ArchiveError(f"there is no InRelease of {self.suite.name}", hint="use a mirror that has one")
        return release.signer(path, self.suite.keyring)

    def download(self, package: Package, folder: Path) -> Path:
        """Fetch a package's file into `folder`.

        ArchiveError when it cannot be had (GoneError: not any more) or is not what the lists say.
        """
        aptconf.demand_online(self._settings, f"{package.name} {package.version}")
        target = folder / Path(package.filename).name
        url = f"{self.suite.uri}/{package.filename}"
        try:
            process.run(
                [_HELPER, "download-file", url, target, f"SHA256:{package.sha256}"],
                deadline=_DOWNLOAD_DEADLINE,
                env={"APT_CONFIG": str(self._config())},
            )
        except ProgramFailedError as error:
            if aptconf.is_gone(error):
                raise aptconf.GoneError(
                    f"the archive of {self.suite.name} has {package.name} {package.version} no more",
                    hint="read the lists again (LAB_CATALOG_HOURS=0), or use a mirror that keeps old packages",
                ) from error
            raise aptconf.archive_error(error, f"{package.name} {package.version}", self.suite.uri) from error
        if file_digest(target) != package.sha256:
            target.unlink()
            raise ArchiveError(
                f"{target.name} is not the file that {self.suite.name} lists: its SHA-256 differs",
                hint="try another mirror",
            )
        return target

    def _update(self) -> None:
        aptconf.demand_online(self._settings, f"the list of {self.suite.name} for {self.arch.name}")
        try:
            process.run(
                [process.which("apt-get", package="apt"), "update"],
                deadline=_UPDATE_DEADLINE,
                env={"APT_CONFIG": str(self._config())},
            )
        except ProgramFailedError as error:
            if not aptconf.is_unreachable(error) or self._in_release() is None:
                raise aptconf.archive_error(error, self.suite.name, self.suite.uri) from error
            stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime((self._root / "updated").stat().st_mtime))
            self._notice(f"{self.suite.name}: the archive cannot be reached; going on with the lists of {stamp}")
            return
        (self._root / "updated").touch()

    def _forget(self) -> None:
        """Make the next refresh fetch everything anew."""
        shutil.rmtree(self._root / "lists", ignore_errors=True)
        (self._root / "updated").unlink(missing_ok=True)

    def _config(self) -> Path:
        return aptconf.write_root(self._root, self.arch, self.suite.line(), self._settings)

    def _list(self) -> Path | None:
        return next(iter(sorted((self._root / "lists").glob(f"*_binary-{self.arch.name}_Packages*"))), None)

    def _in_release(self) -> Path | None:
        return next(iter((self._root / "lists").glob("*_InRelease")), None)
