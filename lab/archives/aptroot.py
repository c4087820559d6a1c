"""A private apt root for one suite and architecture: never the host's lists, always signatures checked."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lab import process
from lab.arches import Arch
from lab.archives import aptconf, failures, release, stanzas
from lab.archives.failures import ExpiredError, GoneError, UnavailableError
from lab.archives.stanzas import Package
from lab.archives.suites import Suite
from lab.errors import ArchiveError
from lab.process import DeadlineError, ProgramFailedError
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

        With the archive silent or half updated and old lists at hand: a notice. Raises UnavailableError when there are
        none, ArchiveError always when a signature is wrong. Offline any lists will do.
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

    def has_lists(self) -> bool:
        """Are there lists, however old?"""
        return self._in_release() is not None

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
        paths = self._lists()
        if not paths and self._in_release() is not None:
            return []
        if not paths:
            aptconf.demand_online(self._settings, f"the list of {self.suite.name} for {self.arch.name}")
            raise ArchiveError(f"there are no lists of {self.suite.name}", hint="check the network, then run again")
        stamp = [[path.name, path.stat().st_mtime_ns, path.stat().st_size] for path in paths]
        digest = hashlib.sha256("\0".join(prefixes).encode()).hexdigest()[:8]
        cache = self._root / f"packages-{digest}.json"
        try:
            kept = json.loads(cache.read_bytes())
            if kept["stamp"] == stamp:
                return [Package(**fields) for fields in kept["packages"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # absent or damaged: read the lists themselves
        try:
            found = [package for path in paths for package in stanzas.read(path, prefixes, self.suite.name)]
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
        folder.mkdir(parents=True, exist_ok=True)
        # A folder that no other process knows: a run that was killed may have left a helper that still writes.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as own:
            part = Path(own) / target.name
            try:
                self._apt([_HELPER, "download-file", url, str(part), f"SHA256:{package.sha256}"], _DOWNLOAD_DEADLINE)
            except (ProgramFailedError, DeadlineError) as error:
                found = failures.package_error(error, package, self.suite)
                if isinstance(found, GoneError):
                    self._gone(package).touch()
                raise found from error
            if file_digest(part) != package.sha256:
                what = f"{target.name} is not the file that {self.suite.name} lists: its SHA-256 differs"
                raise ArchiveError(what, hint="try another mirror")
            part.rename(target)
        return target

    def is_gone(self, package: Package) -> bool:
        """Did the archive lack the package's file when it was last asked, and not say anything new since?"""
        try:
            return self._gone(package).stat().st_mtime >= (self._root / "updated").stat().st_mtime
        except FileNotFoundError:
            return False

    def probe(self, seconds: int) -> None:
        """Ask the archive for one small file; ArchiveError when it does not answer within about twice `seconds`.

        That it has no such file is an answer.
        """
        aptconf.demand_online(self._settings, f"the list of {self.suite.name} for {self.arch.name}")
        url = f"{self.suite.uri}/dists/{self.suite.name}/InRelease"
        quick = ("-o", "Acquire::Retries=0", *_timeouts(seconds))
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            try:
                self._apt([_HELPER, *quick, "download-file", url, f"{folder}/InRelease"], 2 * seconds + 1)
            except (ProgramFailedError, DeadlineError) as error:
                if not failures.is_gone(error):
                    raise failures.archive_error(error, self.suite.name, self.suite.uri) from error

    def _update(self) -> None:
        aptconf.demand_online(self._settings, f"the list of {self.suite.name} for {self.arch.name}")
        try:
            self._apt([process.which("apt-get", package="apt"), "update"], _UPDATE_DEADLINE)
        except (ProgramFailedError, DeadlineError) as error:
            found = failures.archive_error(error, self.suite.name, self.suite.uri)
            useless = not isinstance(found, UnavailableError) or isinstance(found, ExpiredError)
            if useless or self._in_release() is None:
                raise found from error
            stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime((self._root / "updated").stat().st_mtime))
            self._notice(f"{found.what}; going on with its lists of {stamp}")
            return
        (self._root / "updated").touch()

    def _apt(self, argv: list[str], deadline: float) -> None:
        """Run a program of apt's on this root. It dies with us: else, when we are killed, it holds the lists' lock."""
        try:
            process.run(process.tied(argv), deadline=deadline, env={"APT_CONFIG": str(self._config())})
        except DeadlineError as error:
            raise DeadlineError(f"it gave no whole answer within {deadline:g} s") from error

    def _gone(self, package: Package) -> Path:
        return self._root / f"gone-{package.sha256}"

    def _forget(self) -> None:
        """Make the next refresh fetch everything anew."""
        shutil.rmtree(self._root / "lists", ignore_errors=True)
        (self._root / "updated").unlink(missing_ok=True)

    def _config(self) -> Path:
        return aptconf.write_root(self._root, self.arch, self.suite.line(), self._settings)

    def _lists(self) -> list[Path]:
        """One for each of the suite's components."""
        return sorted((self._root / "lists").glob(f"*_binary-{self.arch.name}_Packages*"))

    def _in_release(self) -> Path | None:
        return next(iter((self._root / "lists").glob("*_InRelease")), None)


def _timeouts(seconds: int) -> tuple[str, ...]:
    return tuple(word for way in ("http", "https") for word in ("-o", f"Acquire::{way}::Timeout={seconds}"))
