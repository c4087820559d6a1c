"""Kernels that an archive offers, from its packages; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from debian.debian_support import Version

from lab.arches import Arch
from lab.archives.sources import SUITES, family_names
from lab.archives.stanzas import Package
from lab.errors import RequestError
from lab.kernels.kernel import HeaderPackages
from lab.kernels.request import Request

# From 6.19 on Debian's image package is empty and depends on a linux-binary, -modules and -base package of its version.
PREFIXES = ("linux-image-", "linux-headers-", "linux-binary-", "linux-modules-", "linux-base-", "linux-kbuild-")
FULL = "full"
CLOUD = "cloud"

_IMAGE = "linux-image-"
_VERSION = re.compile(r"(?:\d+:)?(?P<series>\d+\.\d+)(?:\.(?P<patch>\d+))?")
_META = re.compile(r"\blinux-image-\d")  # a metapackage depends on the image; 7.3-cloud-amd64 alone may be either
_PARTS = re.compile(r"(linux-(?:base|binary|modules)-[^\s,(]+) \(= ([^)]+)\)")
_COMMON = re.compile(r"(linux-headers-[^\s,(]+-common\S*) \(= ([^)]+)\)")
# Up to 6.1 one kbuild serves a series, and the newest is right; later each kernel has its own, by its full name.
_KBUILD = re.compile(r"linux-kbuild-[^\s,(]+")
# gcc-12, gcc-14-for-host, linux-compiler-gcc-10-x86
_COMPILER = re.compile(r"\bgcc-\d+")


@dataclass(frozen=True)
class CatalogEntry:
    """One kernel that an archive lists. `packages` are all that its files come from, the image's package first.

    `missing` names packages that it needs and that the archive lists no more: such a kernel cannot be had.
    """

    request: str
    release: str
    version: str
    series: str
    patch: int
    flavour: str
    suite: str
    arch: Arch
    packages: tuple[Package, ...]
    headers: HeaderPackages | None
    missing: tuple[str, ...] = ()

    @cached_property
    def rank(self) -> tuple[Version, int]:
        """Higher is newer; on a tie the suite where the version is native, which stands first in SUITES."""
        return (Version(self.version), -SUITES.index(self.suite) if self.suite in SUITES else -len(SUITES))


def entries(packages: Iterable[Package], arch: Arch) -> list[CatalogEntry]:
    """Every signed kernel among `packages`, newest first."""
    known = {(package.suite, package.name, package.version): package for package in packages}
    found = [entry for package in known.values() if (entry := _entry(package, known, arch))]
    return sorted(found, key=lambda entry: entry.rank, reverse=True)


def choose(request: Request, offered: list[CatalogEntry]) -> CatalogEntry:
    """The newest entry that `request` allows; RequestError lists what exists. `offered` is newest first."""
    flavours = (request.flavour,) if request.flavour else (CLOUD, FULL)
    same = [entry for entry in offered if entry.series == request.series and request.suite in ("", entry.suite)]
    exact = [entry for entry in same if request.patch in (None, entry.patch)]
    for flavour in flavours:
        for entry in exact:
            if entry.flavour == flavour and not entry.missing:
                return replace(entry, request=request.slug)
    raise _unknown(request, same, exact, offered)


def newest(offered: list[CatalogEntry]) -> list[CatalogEntry]:
    """The newest of every series in its default flavour, highest series first: what the request `all` means."""
    found = []
    for series in _series(offered):
        try:
            found.append(choose(Request(series, series, None, "", ""), offered))
        except RequestError:
            continue  # a series that exists in special flavours only has no default
    return found


def _entry(image: Package, known: dict[tuple[str, str, str], Package], arch: Arch) -> CatalogEntry | None:
    release = image.name.removeprefix(_IMAGE)
    version = _VERSION.match(image.version)
    if not image.name.startswith(_IMAGE) or version is None or image.arch != arch.name:
        return None
    if _META.search(image.depends):
        return None
    flavour = _flavour(release, arch)
    if flavour is None:
        return None
    wanted = _PARTS.findall(image.depends)
    parts = [known.get((image.suite, name, number)) for name, number in wanted]
    return CatalogEntry(
        request=version["series"],
        release=release,
        version=image.version,
        series=version["series"],
        patch=int(version["patch"] or 0),
        flavour=flavour,
        suite=image.suite,
        arch=arch,
        packages=(image, *(part for part in parts if part)),
        headers=_headers(release, image, known),
        missing=tuple(name for (name, _), part in zip(wanted, parts, strict=True) if part is None),
    )


def _flavour(release: str, arch: Arch) -> str | None:
    """The flavour in a release such as 6.12.107+deb13-cloud-amd64; None for what is no signed, versioned image."""
    words = release.split("-")
    if not words[0][:1].isdigit() or "." not in words[0] or arch.name not in words:
        return None
    at = words.index(arch.name)
    after = words[at + 1 :]
    if after and after != ["16k"]:  # -dbg, -unsigned
        return None
    # What starts with a digit is part of the build's name: 5.10.0-46-cloud-amd64, 6.1.0-0.deb11.52-amd64.
    before = [word for word in words[1:at] if not word[0].isdigit()]
    return "-".join(before + after) or FULL


def _headers(release: str, image: Package, known: dict[tuple[str, str, str], Package]) -> HeaderPackages | None:
    """The headers of the very version of the image, in a suite where apt would find them, with all they need."""
    for suite in family_names(image.suite):
        package = known.get((suite, f"linux-headers-{release}", image.version))
        if package is None:
            continue
        common = [known.get((suite, name, number)) for name, number in _COMMON.findall(package.depends)]
        kbuild, compiler = _KBUILD.search(package.depends), _COMPILER.search(package.depends)
        if kbuild and compiler and all(common):
            tree = f"linux-headers-{release}"
            packages = (package, *(part for part in common if part))
            return HeaderPackages(packages, (kbuild[0], ""), suite, compiler[0], tree)
    return None


def _series(offered: list[CatalogEntry]) -> list[str]:
    names = {entry.series for entry in offered if not entry.missing}
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")], reverse=True)


def _unknown(
    request: Request, same: list[CatalogEntry], exact: list[CatalogEntry], offered: list[CatalogEntry]
) -> RequestError:
    wanted = request.series + (f".{request.patch}" if request.patch is not None else "")
    where = f"{request.suite} has" if request.suite else "the archive has"
    lost = [entry for entry in exact if entry.missing and request.flavour in ("", entry.flavour)]
    if lost:
        what = f"{where} {lost[0].release} without the {lost[0].missing[0]} that it needs"
        return RequestError(what, hint=f"series that can be had: {', '.join(_series(offered))}")
    if exact:
        flavours = ", ".join(sorted({entry.flavour for entry in exact}))
        return RequestError(
            f"{where} no {request.flavour or 'cloud or full'} kernel {wanted}", hint=f"flavours: {flavours}"
        )
    if same:
        patches = ", ".join(str(patch) for patch in sorted({entry.patch for entry in same if not entry.missing}))
        return RequestError(f"{where} no kernel {wanted}", hint=f"patches of {request.series}: {patches}")
    return RequestError(
        f"{where} no kernel {wanted}", hint=f"series that exist: {', '.join(_series(offered)) or 'none'}"
    )
