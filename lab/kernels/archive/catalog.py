"""Kernels that an archive offers, and which of them a request means; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.arches import Arch
from lab.archives.stanzas import Package
from lab.archives.suites import place
from lab.archives.versions import Key, sort_key
from lab.errors import ArchiveError, RequestError
from lab.kernels.kernel import HeaderPackages
from lab.kernels.request import Request

FULL = "full"
CLOUD = "cloud"


@dataclass(frozen=True)
class CatalogEntry:
    """One kernel that an archive lists. `packages` are all that its files come from, the image's package first.

    `patch` is the point release, or what the distribution counts instead. `headers` is None when nothing can be
    compiled for it, and `no_headers` then says why. `missing` names packages that it needs and that the archive lists
    no more: such a kernel cannot be had.
    """

    release: str
    version: str
    series: str
    patch: int
    flavour: str
    distro: str
    suite: str
    arch: Arch
    packages: tuple[Package, ...]
    headers: HeaderPackages | None
    no_headers: str = ""
    missing: tuple[str, ...] = ()
    locked_by: str = ""  # out of lab.lock: the key that signed the list it came from; no list is read for it

    @cached_property
    def rank(self) -> tuple[Key, int]:
        """Higher is newer; on a tie the suite where the version is native."""
        return (sort_key(self.version), -place(self.suite))

    @property
    def origin(self) -> str:
        return f"{self.distro}:{self.suite}"

    @property
    def point(self) -> str:
        """Series and patch: 6.12.107."""
        return f"{self.series}.{self.patch}"


def ordered(entries: Iterable[CatalogEntry]) -> list[CatalogEntry]:
    """Newest first."""
    return sorted(entries, key=lambda entry: entry.rank, reverse=True)


def candidates(request: Request, offered: Sequence[CatalogEntry], title: str) -> list[CatalogEntry]:
    """The entry that `request` means, then those that may be taken when it cannot be had; RequestError lists what
    exists in the distribution called `title`, ArchiveError says what an archive lost. `offered` is newest first.

    Where the request names a patch or a release, only the same version from another suite may take its place.
    """
    within = [entry for entry in offered if request.suite in ("", entry.suite)]
    same = [entry for entry in within if entry.series == request.series]
    named = [entry for entry in same if entry.release == request.release and not entry.missing]
    exact = named or [entry for entry in same if request.patch in (None, entry.patch)]
    flavours = (request.flavour,) if request.flavour else (CLOUD, FULL)
    for flavour in [named[0].flavour] if named else flavours:
        found = [entry for entry in exact if entry.flavour == flavour and not entry.missing]
        if found and (named or request.patch is not None):
            return [entry for entry in found if entry.version == found[0].version]
        if found:
            return found
    raise _unknown(request, same, exact, offered, title)


def choose(request: Request, offered: Sequence[CatalogEntry], title: str = "the archive") -> CatalogEntry:
    """The newest entry that `request` allows; RequestError lists what exists. `offered` is newest first."""
    return candidates(request, offered, title)[0]


def newest(offered: Sequence[CatalogEntry], flavour: str = "") -> list[CatalogEntry]:
    """The newest of every series in that flavour, highest series first; a series without it is left out."""
    found = []
    for name in series(offered):
        try:
            found.append(choose(Request(name, "", "", name, None, flavour, ""), offered))
        except (ArchiveError, RequestError):
            continue  # a series that exists in special flavours only has no default
    return found


def series(offered: Iterable[CatalogEntry]) -> list[str]:
    """The series that can be had, highest first."""
    names = {entry.series for entry in offered if not entry.missing}
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")], reverse=True)


def flavours_of(name: str, offered: Iterable[CatalogEntry]) -> list[str]:
    """The flavours in which that series can be had."""
    return sorted({entry.flavour for entry in offered if entry.series == name and not entry.missing})


def _unknown(
    request: Request,
    same: Sequence[CatalogEntry],
    exact: Sequence[CatalogEntry],
    offered: Sequence[CatalogEntry],
    title: str,
) -> ArchiveError | RequestError:
    where = f"{request.suite or title} has"
    lost = [entry for entry in exact if entry.missing and request.flavour in ("", entry.flavour)]
    if lost:
        what = f"{where} {lost[0].release} without the {lost[0].missing[0]} that it needs"
        return ArchiveError(what, hint=f"series that can be had: {', '.join(series(offered))}")
    if exact:
        flavours = ", ".join(sorted({entry.flavour for entry in exact}))
        what = f"{where} no {request.flavour or 'cloud or full'} kernel {request.kernel}"
        return RequestError(what, hint=f"flavours: {flavours}")
    if same:
        patches = ", ".join(str(patch) for patch in sorted({entry.patch for entry in same if not entry.missing}))
        hint = f"patches of {request.series}: {patches}"
        return RequestError(f"{where} no kernel {request.kernel}", hint=hint)
    hint = f"series that exist: {', '.join(series(offered)) or 'none'}"
    return RequestError(f"{where} no kernel {request.kernel}", hint=hint)
