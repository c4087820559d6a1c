"""Kernels from one distribution's archive: listed, chosen, downloaded, verified, unpacked."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab import lockfile
from lab.arches import Arch
from lab.archives.aptroot import AptRoot, Package
from lab.archives.debs import unpack_deb
from lab.archives.failures import GoneError, UnavailableError
from lab.archives.sources import Sources
from lab.archives.suites import DEBIAN, UBUNTU, Distribution
from lab.errors import ArchiveError, LabError, RequestError
from lab.kernels.archive import catalog, debian, locking, ubuntu
from lab.kernels.archive.catalog import CatalogEntry
from lab.kernels.kernel import HeaderPackages, Kernel
from lab.kernels.request import Request
from lab.lockfile import LockedKernel, LockedPackage
from lab.settings import Settings
from lab.store import Entry, Store

_KIND = "kernel"
# An archive that many hosts cannot reach must not cost a user who mistyped a series minutes.
_PROBE_SECONDS = 4
_GCC_VERSION = re.compile(r"[1-9]\d*")

Catalogue = Callable[[Iterable[Package], Arch], list[CatalogEntry]]
_CATALOGUES: Mapping[str, tuple[Catalogue, tuple[str, ...]]] = {
    DEBIAN.name: (debian.entries, debian.PREFIXES),
    UBUNTU.name: (ubuntu.entries, ubuntu.PREFIXES),
}


@dataclass(frozen=True)
class Listing:
    """What an archive offers for one architecture, newest first, and which of its suites could not be read."""

    distribution: Distribution
    entries: Sequence[CatalogEntry]
    failures: Mapping[str, UnavailableError]

    def has(self, series: str) -> bool:
        return any(entry.series == series and not entry.missing for entry in self.entries)

    def candidates(self, request: Request) -> list[CatalogEntry]:
        """As catalog.candidates; ArchiveError when what was not found may be in a suite that could not be read."""
        try:
            return catalog.candidates(request, self.entries, self.distribution.title)
        except RequestError as error:
            raise self.explained(error, request.suite) from error

    def explained(self, error: RequestError, suite: str = "") -> LabError:
        """The error, or a better one: what was not found may be in a suite that could not be read."""
        lost = [failure for name, failure in self.failures.items() if suite in ("", name)]
        if not lost:
            return error
        what = f"{error.what}, as far as its archive could be read: {'; '.join(failure.what for failure in lost)}"
        return ArchiveError(what, hint=f"{lost[0].hint}; or choose another kernel: {error.hint}")


@dataclass(frozen=True)
class ArchiveChoice:
    """The kernel of an archive that a request means; `others` may take its place when its files are gone."""

    request: Request
    entry: CatalogEntry
    others: tuple[CatalogEntry, ...]
    source: ArchiveKernels

    @property
    def release(self) -> str:
        return self.entry.release

    @property
    def version(self) -> str:
        return self.entry.version

    @property
    def origin(self) -> str:
        return self.entry.origin

    def stored(self) -> dict[str, Any] | None:
        """Where its files in the store came from; None when they are not there."""
        return self.source.provenance(self.entry)

    def fetch(self) -> Kernel:
        """Its files, from the store or else from the archive; with a notice those of the next one, when the archive
        lists a kernel that it does not have and the request leaves a choice."""
        lost: list[CatalogEntry] = []
        for entry in (self.entry, *self.others):
            try:
                kernel = self.source.fetch(entry, self.request)
            except GoneError as error:
                lost.append(entry)
                gone = error
                continue
            self.source.tell_replaced(lost, entry)
            return kernel
        raise gone


class ArchiveKernels:
    """Kernels from one distribution's archive. `notice` gets a sentence for all that a user need not act on."""

    def __init__(
        self,
        distribution: Distribution,
        store: Store,
        settings: Settings,
        notice: Callable[[str], None],
        sources: Sources,
    ) -> None:
        self.distribution = distribution
        self._store = store
        self._settings = settings
        self._notice = notice
        self._sources = sources
        self._catalogue, self._prefixes = _CATALOGUES[distribution.name]

    def listed(self, arch: Arch, suite: str = "") -> Listing:
        """All that can be had, or all that a suite has by another of its names. UnavailableError when no suite can be
        read; some that cannot are a notice each."""
        names = (suite,) if self.distribution.is_alias(suite) else self.distribution.suites
        roots = [self._root(name, arch) for name in names]
        refresh = self._answers(roots)
        with ThreadPoolExecutor(max_workers=len(roots)) as pool:
            answers = list(pool.map(lambda root: self._read(root, refresh), roots))
        packages = [package for found in answers if not isinstance(found, UnavailableError) for package in found]
        failures = {
            root.suite.name: found
            for root, found in zip(roots, answers, strict=True)
            if isinstance(found, UnavailableError)
        }
        if failures and not packages:
            raise next(iter(failures.values()))
        for failure in failures.values():
            self._notice(f"{failure.what}; going on without it")
        return Listing(self.distribution, self._catalogue(packages, arch), failures)

    def choose(self, request: Request, listing: Listing) -> ArchiveChoice:
        """The kernel that the request means; RequestError lists what exists."""
        entry, *others = listing.candidates(request)
        lost = []
        while others and self._is_gone(entry):
            lost.append(entry)
            entry, *others = others
        self.tell_replaced(lost, entry)
        self._root(entry.suite, entry.arch).warn_if_expired()
        return ArchiveChoice(request, entry, tuple(others), self)

    def locked(self, request: Request, locked: LockedKernel, arch: Arch) -> ArchiveChoice:
        """The kernel that lab.lock names for the request."""
        return ArchiveChoice(request, locking.entry_of(locked, arch), (), self)

    def fetch(self, entry: CatalogEntry, request: Request) -> Kernel:
        """The kernel's files, from the store or else from the archive: downloaded, verified, unpacked."""
        stored = self._store.get(_KIND, _inputs(entry), lambda folder: self._fill(entry, folder))
        return _kernel(entry, request, stored)

    def provenance(self, entry: CatalogEntry) -> dict[str, Any] | None:
        """Where the kernel's files in the store came from; None when they are not there."""
        found = self._store.find(_KIND, _inputs(entry))
        return found.provenance if found else None

    def stored(self, entry: CatalogEntry) -> bool:
        """Are the kernel's files in the store? To ask is no use of them."""
        return self._store.has(_KIND, _inputs(entry))

    def tell_replaced(self, lost: Sequence[CatalogEntry], taken: CatalogEntry) -> None:
        """Tell that `taken` stands in for kernels, newest first, that the archive lists and does not have."""
        if not lost:
            return
        older = f", nor those of {len(lost) - 1} older ones" if len(lost) > 1 else ""
        what = f"{lost[0].suite} lists {lost[0].release} ({lost[0].version}) and does not have its files{older}"
        self._notice(f"{what}; taking {taken.release} ({taken.version}, {taken.suite}) in its place")

    def _root(self, suite: str, arch: Arch) -> AptRoot:
        return AptRoot(self._sources.suite(suite, arch), arch, self._store, self._settings, self._notice)

    def _answers(self, roots: Sequence[AptRoot]) -> bool:
        """Shall the suites' lists be read again? Not when the archive does not answer and there are old ones."""
        if not self.distribution.probed or all(root.is_fresh() for root in roots):
            return True
        try:
            roots[0].probe(_PROBE_SECONDS)
        except UnavailableError as error:
            if not any(root.has_lists() for root in roots):
                raise
            self._notice(f"{error.what}; going on with the lists of {self.distribution.title} that are there")
            return False
        return True

    def _read(self, root: AptRoot, refresh: bool) -> list[Package] | UnavailableError:
        try:
            # With fresh lists nothing is asked of the archive, and a warning is for the suite that is chosen.
            if refresh and not root.is_fresh():
                root.refresh()
            return root.packages(*self._prefixes) if refresh or root.has_lists() else []
        except UnavailableError as error:
            return error

    def _is_gone(self, entry: CatalogEntry) -> bool:
        root = self._root(entry.suite, entry.arch)
        return any(root.is_gone(package) for package in entry.packages) and self.provenance(entry) is None

    def _fill(self, entry: CatalogEntry, folder: Path) -> dict[str, Any]:
        root = self._root(entry.suite, entry.arch)
        downloads = folder / ".download"
        downloads.mkdir()
        if entry.locked_by:
            signed_by = entry.locked_by
            debs = lockfile.fetch(
                [LockedPackage.of(package) for package in entry.packages], lambda one: root.download(one, downloads)
            )
        else:
            root.refresh()
            signed_by = root.signed_by()
            debs = [root.download(package, downloads) for package in entry.packages]
        for deb in debs:
            unpack_deb(deb, folder)
            deb.unlink()
        downloads.rmdir()
        shutil.rmtree(folder / "usr" / "share", ignore_errors=True)  # changelogs and bug scripts
        _places(folder, entry.release)  # a kernel without them must not get into the store
        return {
            "package": entry.packages[0].name,
            "version": entry.version,
            "sha256": entry.packages[0].sha256,
            "parts": {package.filename: package.sha256 for package in entry.packages},
            "suite": entry.suite,
            "archive": root.suite.uri,
            "signed_by": signed_by,
        }


def _inputs(entry: CatalogEntry) -> dict[str, Any]:
    """What a stored kernel is made from; not the suite: the same file in two suites is one kernel."""
    return {
        "packages": [
            {"package": package.name, "version": package.version, "arch": package.arch, "sha256": package.sha256}
            for package in entry.packages
        ]
    }


def _kernel(entry: CatalogEntry, request: Request, stored: Entry) -> Kernel:
    image, modules, config = _places(stored.files, entry.release)
    place = f"{entry.distro}:{entry.suite}" if request.suite else entry.distro
    kernel = Kernel(
        request=request.slug,
        exact=f"{place}/{entry.release if entry.release == request.release else f'{entry.point}-{entry.flavour}'}",
        release=entry.release,
        version=entry.version,
        series=entry.series,
        arch=entry.arch,
        flavour=entry.flavour,
        origin=entry.origin,
        image=image,
        modules=modules,
        config=config,
        headers=entry.headers,
        no_headers=entry.no_headers,
        key=stored.key,
        provenance=stored.provenance,
    )
    return replace(kernel, headers=_with_compiler(entry.headers, kernel))


def _with_compiler(headers: HeaderPackages | None, kernel: Kernel) -> HeaderPackages | None:
    """With the compiler that the kernel itself says built it, where the packages did not name one."""
    if headers is None or headers.kbuild[0]:  # Debian's name it
        return headers
    found = _GCC_VERSION.fullmatch(kernel.option("GCC_VERSION") or "")  # 110400 is 11.4.0
    return replace(headers, compiler=f"gcc-{int(found[0]) // 10000}") if found else headers


def _places(files: Path, release: str) -> tuple[Path, Path, Path]:
    """Image, modules and config: from Debian's 7.3 on all in the modules' folder, which is in /usr from 6.7 on."""
    modules = _first(files, f"usr/lib/modules/{release}", f"lib/modules/{release}")
    image = _first(files, f"boot/vmlinuz-{release}", f"boot/vmlinux-{release}", f"usr/lib/modules/{release}/vmlinuz")
    return image, modules, _first(files, f"boot/config-{release}", f"usr/lib/modules/{release}/config")


def _first(files: Path, *places: str) -> Path:
    for place in places:
        if (files / place).exists():
            return files / place
    raise ArchiveError(f"the kernel's packages hold no {places[0]}", hint="choose another kernel: lab kernel list")
