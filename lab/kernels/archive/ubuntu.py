"""How Ubuntu names its kernels' packages; pure, but for what the host is.

    linux-image-5.15.0-113-generic                the signed image; linux-image-unsigned-... where none is signed
    linux-modules-5.15.0-113-generic              modules, config and System.map
    linux-modules-extra-5.15.0-113-generic        rarer modules, for some flavours
    linux-headers-5.15.0-113-generic              this flavour's build tree, with kbuild's programs in it
    linux-headers-5.15.0-113                      what all flavours share (linux-hwe-6.8-headers-6.8.0-45, ...)

Versions are 5.15.0-113.123. Ubuntu counts builds (113, its "ABI number") and never says 5.15.N: that is the patch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lab import arches
from lab.arches import Arch
from lab.archives.stanzas import Package
from lab.archives.suites import UBUNTU, compilers_suite, family_names
from lab.archives.versions import sort_key
from lab.kernels.archive.catalog import FULL, CatalogEntry, ordered
from lab.kernels.kernel import HeaderPackages

_PARTS = ("image", "image-unsigned", "modules", "modules-extra", "headers")
# Kernels whose shared headers have a name of their own.
_KINDS = ("aws", "azure", "gcp", "gke", "gkeop", "hwe", "ibm", "kvm", "lowlatency", "nvidia", "oem", "oracle", "riscv")
# Not "linux-" alone: nine tenths of those are tools and modules of vendors.
PREFIXES = (
    *(f"linux-{part}-{digit}" for part in _PARTS for digit in range(4, 10)),
    *(f"linux-{kind}-" for kind in _KINDS),
)

_IMAGE = re.compile(r"linux-image-(?P<unsigned>unsigned-)?(?P<release>\d\S+)")
_RELEASE = re.compile(r"(?P<series>\d+\.\d+)\.\d+-(?P<abi>\d+)-(?P<flavour>[a-z][a-z0-9-]*)")
_SHARED = re.compile(r"\blinux-(?:[a-z0-9.-]+-)?headers-\d[^\s,(|]*")
_COMPILER = re.compile(r"\bgcc-\d+\b")
# A release's own compiler, which built its first kernel. Later kernels' headers or config name theirs.
_COMPILERS = {"bionic": "gcc-7", "focal": "gcc-9", "jammy": "gcc-11", "noble": "gcc-13"}

_Known = Mapping[tuple[str, str], list[Package]]


def entries(packages: Iterable[Package], arch: Arch) -> list[CatalogEntry]:
    """Every kernel among `packages`, newest first."""
    known: dict[tuple[str, str], list[Package]] = {}
    for package in packages:
        known.setdefault((package.suite, package.name), []).append(package)
    images = [package for listed in known.values() for package in listed]
    return ordered(entry for image in images if (entry := _entry(image, known, arch)))


def _entry(image: Package, known: _Known, arch: Arch) -> CatalogEntry | None:
    name = _IMAGE.fullmatch(image.name)
    parts = _RELEASE.fullmatch(name["release"]) if name else None
    if name is None or parts is None or image.arch != arch.name or parts["flavour"].endswith("-dbgsym"):
        return None
    release = name["release"]
    if name["unsigned"] and (image.suite, f"linux-image-{release}") in known:
        return None
    modules = _find(known, image.suite, f"linux-modules-{release}", image.version)
    extra = _find(known, image.suite, f"linux-modules-extra-{release}", image.version)
    headers, no_headers = _headers(release, image, known, arch)
    return CatalogEntry(
        release=release,
        version=image.version,
        series=parts["series"],
        patch=int(parts["abi"]),
        flavour=_flavour(parts["flavour"]),
        distro=UBUNTU.name,
        suite=image.suite,
        arch=arch,
        packages=(image, *(part for part in (modules, extra) if part)),
        headers=headers,
        no_headers=no_headers,
        missing=() if modules else (f"linux-modules-{release}",),
    )


def _flavour(name: str) -> str:
    """generic is what every other flavour is told apart from; generic-64k is 64k."""
    return FULL if name == "generic" else name.removeprefix("generic-")


def _find(known: _Known, suite: str, name: str, version: str) -> Package | None:
    """The package of that version, or else its newest: the build's number is part of the name, and an image that was
    signed anew has a version of its own."""
    listed = known.get((suite, name), [])
    same = [package for package in listed if package.version == version]
    return same[0] if same else max(listed, key=lambda package: sort_key(package.version), default=None)


def _headers(release: str, image: Package, known: _Known, arch: Arch) -> tuple[HeaderPackages | None, str]:
    """The headers in a suite where apt would find them, with all they need; or why there are none."""
    if arch != arches.host():
        why = f"the headers of Ubuntu's kernels for {arch.name} hold programs for {arch.name}, and this host is none"
        return None, why
    lost = f"linux-headers-{release}"
    for suite in family_names(image.suite):
        package = _find(known, suite, f"linux-headers-{release}", image.version)
        if package is None:
            continue
        wanted = _SHARED.findall(package.depends)
        shared = [_find(known, suite, name, package.version) for name in wanted]
        if all(shared):
            named = _COMPILER.search(package.depends)
            compiler = named[0] if named else _COMPILERS[compilers_suite(suite)]
            packages = (package, *(part for part in shared if part))
            return HeaderPackages(packages, ("", ""), suite, compiler, package.name), ""
        lost = next(name for name, part in zip(wanted, shared, strict=True) if part is None)
    return None, f"the archive no longer has {lost}, which building for {release} needs"
