"""How Debian names its kernels' packages; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lab.arches import Arch
from lab.archives.stanzas import Package
from lab.archives.suites import DEBIAN, family_names
from lab.kernels.archive.catalog import FULL, CatalogEntry, ordered
from lab.kernels.kernel import HeaderPackages

# From 6.19 on the image package is empty and depends on a linux-binary, -modules and -base package of its version.
PREFIXES = ("linux-image-", "linux-headers-", "linux-binary-", "linux-modules-", "linux-base-", "linux-kbuild-")

_IMAGE = "linux-image-"
_VERSION = re.compile(r"(?:\d+:)?(?P<series>\d+\.\d+)(?:\.(?P<patch>\d+))?")
_META = re.compile(r"\blinux-image-\d")  # a metapackage depends on the image; 7.3-cloud-amd64 alone may be either
_PARTS = re.compile(r"(linux-(?:base|binary|modules)-[^\s,(]+) \(= ([^)]+)\)")
_COMMON = re.compile(r"(linux-headers-[^\s,(]+-common\S*) \(= ([^)]+)\)")
# Up to 6.1 one kbuild serves a series, and the newest is right; later each kernel has its own, by its full name.
_KBUILD = re.compile(r"linux-kbuild-[^\s,(]+")
# gcc-12, gcc-14-for-host, linux-compiler-gcc-10-x86
_COMPILER = re.compile(r"\bgcc-\d+")

_Known = Mapping[tuple[str, str, str], Package]


def entries(packages: Iterable[Package], arch: Arch) -> list[CatalogEntry]:
    """Every signed kernel among `packages`, newest first."""
    known = {(package.suite, package.name, package.version): package for package in packages}
    return ordered(entry for package in known.values() if (entry := _entry(package, known, arch)))


def _entry(image: Package, known: _Known, arch: Arch) -> CatalogEntry | None:
    release = image.name.removeprefix(_IMAGE)
    version = _VERSION.match(image.version)
    if not image.name.startswith(_IMAGE) or version is None or image.arch != arch.name:
        return None
    if _META.search(image.depends):
        return None
    flavour = _flavour(release, arch)
    if flavour is None:
        return None
    wanted = _needed(image)
    parts = [known.get((image.suite, name, number)) for name, number in wanted]
    headers, no_headers = _headers(release, image, known)
    return CatalogEntry(
        release=release,
        version=image.version,
        series=version["series"],
        patch=int(version["patch"] or 0),
        flavour=flavour,
        distro=DEBIAN.name,
        suite=image.suite,
        arch=arch,
        packages=(image, *(part for part in parts if part)),
        headers=headers,
        no_headers=no_headers,
        missing=tuple(name for (name, _), part in zip(wanted, parts, strict=True) if part is None),
    )


def _needed(image: Package) -> list[tuple[str, str]]:
    """The packages (name, version) that the image's files are in beside its own.

    6.18 already needs a linux-base, and that holds nothing of the kernel yet: the image still does.
    """
    parts: list[tuple[str, str]] = _PARTS.findall(image.depends)
    return parts if any(name.startswith("linux-binary-") for name, _ in parts) else []


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


def _headers(release: str, image: Package, known: _Known) -> tuple[HeaderPackages | None, str]:
    """The headers of the very version of the image, in a suite where apt would find them, with all they need; or why
    there are none."""
    lost = f"linux-headers-{release}"
    for suite in family_names(image.suite):
        package = known.get((suite, f"linux-headers-{release}", image.version))
        if package is None:
            continue
        wanted = _COMMON.findall(package.depends)
        common = [known.get((suite, name, number)) for name, number in wanted]
        kbuild, compiler = _KBUILD.search(package.depends), _COMPILER.search(package.depends)
        if kbuild and compiler and all(common):
            packages = (package, *(part for part in common if part))
            return HeaderPackages(packages, (kbuild[0], ""), suite, compiler[0], package.name), ""
        lost = next((name for (name, _), part in zip(wanted, common, strict=True) if part is None), lost)
    return None, f"the archive no longer has {lost} {image.version}, which building for {release} needs"
