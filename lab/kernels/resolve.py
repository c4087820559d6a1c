"""Request -> catalogue -> kernel in the store, from a distribution's archive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab import process
from lab.arches import Arch
from lab.archives.aptconf import UnavailableError
from lab.archives.aptroot import AptRoot, Package
from lab.archives.sources import SUITES, Sources
from lab.errors import ArchiveError
from lab.kernels import catalog, request
from lab.kernels.catalog import CatalogEntry
from lab.kernels.kernel import Kernel
from lab.settings import Settings
from lab.store import Entry, Store

_KIND = "kernel"
_UNPACK_DEADLINE = 300.0

# The class below has a method `list`, which hides the type's name inside it.
Entries = list[CatalogEntry]
_Answer = list[Package] | UnavailableError


class KernelSource:
    """Kernels from Debian's archive. `notice` gets a sentence for everything a user should know and need not act on."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        notice: Callable[[str], None],
        *,
        sources: Sources | None = None,
        suites: Sequence[str] = SUITES,
    ) -> None:
        self._store = store
        self._settings = settings
        self._notice = notice
        self._sources = sources or Sources(settings)
        self._suites = tuple(suites)

    def resolve(self, text: str, arch: Arch) -> CatalogEntry:
        """The kernel that a request means; RequestError lists what exists, ArchiveError when nothing can be known."""
        wanted = request.parse(text)
        entry = catalog.choose(wanted, self._listed(arch))
        self._root(entry.suite, arch).warn_if_expired()
        return entry

    def list(self, arch: Arch) -> Entries:
        """Every kernel that can be had, newest first."""
        return [entry for entry in self._listed(arch) if not entry.missing]

    def newest(self, arch: Arch) -> Entries:
        """The newest kernel of every series in its default flavour: what the request `all` means."""
        return catalog.newest(self._listed(arch))

    def fetch(self, entry: CatalogEntry) -> Kernel:
        """The kernel's files, from the store or else from the archive: downloaded, verified, unpacked."""
        return _kernel(entry, self._store.get(_KIND, _inputs(entry), lambda folder: self._fill(entry, folder)))

    def stored(self, entry: CatalogEntry) -> bool:
        """Is the kernel in the store already?"""
        return self._store.find(_KIND, _inputs(entry)) is not None

    def _listed(self, arch: Arch) -> Entries:
        roots = [self._root(name, arch) for name in self._suites]
        with ThreadPoolExecutor(max_workers=len(roots)) as pool:
            answers = list(pool.map(self._read, roots))
        packages = [package for found in answers if not isinstance(found, UnavailableError) for package in found]
        failures = [found for found in answers if isinstance(found, UnavailableError)]
        if failures and not packages:
            raise failures[0]
        for failure in failures:
            self._notice(f"{failure.what}; going on without it")
        return catalog.entries(packages, arch)

    def _root(self, suite: str, arch: Arch) -> AptRoot:
        return AptRoot(self._sources.suite(suite), arch, self._store, self._settings, self._notice)

    def _read(self, root: AptRoot) -> _Answer:
        try:
            # With fresh lists nothing is asked of the archive, and a warning is for the suite that is chosen.
            if not root.is_fresh():
                root.refresh()
            return root.packages(*catalog.PREFIXES)
        except UnavailableError as error:
            return error

    def _fill(self, entry: CatalogEntry, folder: Path) -> dict[str, Any]:
        root = self._root(entry.suite, entry.arch)
        root.refresh()
        signed_by = root.signed_by()
        dpkg = process.which("dpkg-deb", package="dpkg")
        downloads = folder / ".download"
        downloads.mkdir()
        for package in entry.packages:
            deb = root.download(package, downloads)
            process.run([dpkg, "-x", deb, folder], deadline=_UNPACK_DEADLINE)
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


def _kernel(entry: CatalogEntry, stored: Entry) -> Kernel:
    image, modules, config = _places(stored.files, entry.release)
    return Kernel(
        request=entry.request,
        exact=f"debian/{entry.series}.{entry.patch}-{entry.flavour}",
        release=entry.release,
        version=entry.version,
        series=entry.series,
        arch=entry.arch,
        flavour=entry.flavour,
        origin=f"debian:{entry.suite}",
        image=image,
        modules=modules,
        config=config,
        headers=entry.headers,
        no_headers="" if entry.headers else f"the archive has no headers for kernel {entry.release}",
        key=stored.key,
        provenance=stored.provenance,
    )


def _places(files: Path, release: str) -> tuple[Path, Path, Path]:
    """Image, modules and config: from 7.3 on all in the modules' folder, which is in /usr from 6.7 on."""
    modules = _first(files, f"usr/lib/modules/{release}", f"lib/modules/{release}")
    image = _first(files, f"boot/vmlinuz-{release}", f"boot/vmlinux-{release}", f"usr/lib/modules/{release}/vmlinuz")
    return image, modules, _first(files, f"boot/config-{release}", f"usr/lib/modules/{release}/config")


def _first(files: Path, *places: str) -> Path:
    for place in places:
        if (files / place).exists():
            return files / place
    raise ArchiveError(f"the kernel's packages hold no {places[0]}", hint="choose another kernel: lab kernel list")
