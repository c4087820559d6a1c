"""The front to all kernels: a request goes to the provider that has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lab import lockfile
from lab.arches import Arch
from lab.archives.failures import UnavailableError
from lab.archives.sources import Sources
from lab.archives.suites import DISTRIBUTIONS, Distribution
from lab.errors import ArchiveError, LabError, RequestError
from lab.kernels import request, transfer
from lab.kernels.archive import catalog
from lab.kernels.archive.catalog import CatalogEntry
from lab.kernels.archive.provider import ArchiveChoice, ArchiveKernels, Listing
from lab.kernels.build.provider import BuiltKernels
from lab.kernels.kernel import Choice, Provider
from lab.kernels.local.provider import LocalKernels
from lab.kernels.oci.provider import OciKernels
from lab.kernels.request import Request
from lab.settings import Settings
from lab.store import Store

# Where no archive is asked: the prefix of such requests, and whose business they are.
_PROVIDERS: Mapping[str, Callable[[Store, Settings, Callable[[str], None]], Provider]] = {
    request.PATH: LocalKernels,
    request.OCI: OciKernels,
    request.BUILD: BuiltKernels,
}

# The class below has a method `list`, which hides the type's name inside it.
Entries = list[CatalogEntry]
_Texts = list[str]
_Resolved = list[Choice | LabError]


class KernelSource:
    """Every kernel that there is. `notice` gets a sentence for everything a user should know and need not act on.

    A request that names no distribution goes to the first of `distributions` that has its series; the later ones'
    archives are asked only when the earlier ones lack it.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        notice: Callable[[str], None],
        *,
        sources: Sources | None = None,
        distributions: Sequence[Distribution] = DISTRIBUTIONS,
    ) -> None:
        self._store = store
        self._settings = settings
        self._notice = notice
        sources = sources or Sources(settings)
        self._archives = [
            ArchiveKernels(distribution, store, settings, notice, sources) for distribution in distributions
        ]

    def resolve(self, text: str, arch: Arch) -> Choice:
        """The kernel that a request means; RequestError lists what exists, ArchiveError when nothing can be known."""
        for prefix, provider in _PROVIDERS.items():
            if text.startswith(prefix):
                return provider(self._store, self._settings, self._notice).resolve(text, arch)
        wanted = request.parse(text)
        lock = lockfile.active(self._settings)
        if locked := lock.kernel(wanted.slug, arch.name):
            return self._archive(locked.origin.partition(":")[0]).locked(wanted, locked, arch)
        if lock.kernels:
            self._notice(f"{self._settings.lock_file.name} names no {text} for {arch.name}: what the archive has now")
        if wanted.distro:
            archive = self._archive(wanted.distro)
            return archive.choose(wanted, archive.listed(arch, wanted.suite))
        return self._anywhere(wanted, arch)

    def expand(self, text: str, arch: Arch) -> _Texts:
        """The requests for single kernels that a request means on that architecture, highest series first; itself
        when it is one.

        RequestError when a range holds nothing. Nothing is read of any archive for a single request.
        """
        if not request.means_several(text):
            return [text]
        wanted = request.parse_several(text)
        archive = self._archive(wanted.distro)
        listing = archive.listed(arch, wanted.suite)
        offered = [entry for entry in listing.entries if wanted.suite in ("", entry.suite)]
        names = [entry.series for entry in catalog.newest(offered, wanted.flavour)]
        found = [wanted.request(name) for name in names if wanted.admits(name)]
        if not found:
            what = f"{archive.distribution.title} has no kernel for {arch.name} that {text!r} means"
            hint = f"series that exist: {', '.join(names or catalog.series(offered)) or 'none'}"
            raise listing.explained(RequestError(what, hint=hint), wanted.suite)
        return found

    def list(self, arch: Arch, distro: str = "") -> Entries:
        """Every kernel that the distribution has (the first when it is not named), newest first."""
        return [entry for entry in self._archive(distro).listed(arch).entries if not entry.missing]

    def stored(self, entry: CatalogEntry) -> bool:
        """Is the kernel in the store already?"""
        return self._archive(entry.distro).stored(entry)

    def pack(self, found: Sequence[Choice | LabError]) -> bytes:
        """Kernels as they were resolved, or the errors for which they were not, for another process of the run."""
        return transfer.pack(found, self._anchors())

    def unpack(self, data: bytes) -> _Resolved:
        """What another process of the same run packed: the very same kernels, and no archive is asked for them."""
        return transfer.unpack(data, self._anchors())

    def _anchors(self) -> transfer.Anchors:
        archives = {archive.distribution.name: archive for archive in self._archives}
        return {"store": self._store, "notice": self._notice, **archives}

    def _archive(self, name: str) -> ArchiveKernels:
        return next(archive for archive in self._archives if name in ("", archive.distribution.name))

    def _anywhere(self, wanted: Request, arch: Arch) -> ArchiveChoice:
        first, *others = self._archives
        listing = first.listed(arch)
        asked = [archive for archive in others if archive.distribution.may_have(wanted.series)]
        if listing.has(wanted.series) or not asked:
            return first.choose(wanted, listing)
        missed = [_miss(listing, wanted)]
        for archive in asked:
            try:
                listing = archive.listed(arch)
            except UnavailableError as error:
                missed.append(error)
                continue
            if listing.has(wanted.series):
                return archive.choose(wanted, listing)
            missed.append(_miss(listing, wanted))
        raise _nowhere(missed)


def _miss(listing: Listing, wanted: Request) -> LabError:
    """What the archive without the series says of it."""
    try:
        listing.candidates(wanted)
    except LabError as error:
        return error
    raise AssertionError("the archive has the series")


def _nowhere(missed: Sequence[LabError]) -> LabError:
    """One error of what every archive said: ArchiveError when one of them could not say all."""
    what = "; and ".join(error.what for error in missed)
    if all(isinstance(error, RequestError) for error in missed):
        return RequestError(what, hint="; ".join(error.hint for error in missed))
    mirror = "set LAB_UBUNTU_MIRROR (LAB_UBUNTU_PORTS_MIRROR) to a mirror that this host reaches"
    hint = f"{mirror}, use a store that has the kernel, or a folder of your own: path:DIR; {missed[0].hint}"
    return ArchiveError(what, hint=hint)
