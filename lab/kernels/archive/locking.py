"""Kernels of archives as lab.lock has them; pure."""

from __future__ import annotations

from lab.arches import Arch
from lab.archives.stanzas import Package
from lab.kernels.archive.catalog import CatalogEntry
from lab.kernels.kernel import HeaderPackages
from lab.lockfile import LockedHeaders, LockedKernel, LockedPackage


def record_of(entry: CatalogEntry, request: str, signed_by: str, kbuild: Package | None) -> LockedKernel:
    """The record of what a request (a slug) meant; `kbuild` is the package with kbuild's programs, if there is one."""
    return LockedKernel(
        request=request,
        arch=entry.arch.name,
        release=entry.release,
        version=entry.version,
        series=entry.series,
        patch=entry.patch,
        flavour=entry.flavour,
        origin=entry.origin,
        signed_by=signed_by,
        packages=tuple(LockedPackage.of(package) for package in entry.packages),
        headers=_record_of_headers(entry.headers, kbuild) if entry.headers else None,
        no_headers=entry.no_headers,
    )


def entry_of(locked: LockedKernel, arch: Arch) -> CatalogEntry:
    """The catalogue's entry that a record stands for; nothing of any list is needed to fetch it."""
    distro, _, suite = locked.origin.partition(":")
    return CatalogEntry(
        release=locked.release,
        version=locked.version,
        series=locked.series,
        patch=locked.patch,
        flavour=locked.flavour,
        distro=distro,
        suite=suite,
        arch=arch,
        packages=tuple(package.package() for package in locked.packages),
        headers=_headers_of(locked.headers) if locked.headers else None,
        no_headers=locked.no_headers,
        locked_by=locked.signed_by,
    )


def _record_of_headers(headers: HeaderPackages, kbuild: Package | None) -> LockedHeaders:
    return LockedHeaders(
        packages=tuple(LockedPackage.of(package) for package in headers.packages),
        kbuild=LockedPackage.of(kbuild) if kbuild else None,
        suite=headers.suite,
        compiler=headers.compiler,
        tree=headers.tree,
    )


def _headers_of(locked: LockedHeaders) -> HeaderPackages:
    kbuild = locked.kbuild.package() if locked.kbuild else None
    return HeaderPackages(
        packages=tuple(package.package() for package in locked.packages),
        kbuild=(kbuild.name, kbuild.version) if kbuild else ("", ""),
        suite=locked.suite,
        compiler=locked.compiler,
        tree=locked.tree,
        kbuild_package=kbuild,
    )
