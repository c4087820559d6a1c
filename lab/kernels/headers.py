"""What a driver is compiled against: a kernel's build tree, made ready for a builder root."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian.debian_support import Version

from lab import arches
from lab.arches import Arch
from lab.archives.aptroot import AptRoot, Package
from lab.archives.debs import unpack_deb
from lab.archives.sources import Sources
from lab.archives.suites import compilers_suite
from lab.errors import ArchiveError, UnsupportedError
from lab.kernels.kernel import HeaderPackages, Kernel, LocalTree
from lab.kernels.local.tree import source_packages
from lab.settings import Settings
from lab.store import Store

_SOURCES = "/usr/src"
# Where each compiler is the distribution's own; a tree that names another gets the nearest newer one.
_COMPILERS = {10: "bullseye", 12: "bookworm", 14: "trixie", 16: "sid"}
_NUMBER = re.compile(r"\d+")
# Debian's build trees reach kbuild's programs by such links.
_KBUILD_LINK = re.compile(r"^(?:\.\./)*(?:usr/)?lib/(linux-kbuild-[^/]+)(/.*)?$")

_SETS_CROSS = re.compile(r"^override CROSS_COMPILE *= *[a-z]", re.MULTILINE)


@dataclass(frozen=True)
class BuildTree:
    """A build tree in a builder: `path` is what `make -C` is given there, `mounts` (path there -> folder here) make it
    so. `compiler` is "gcc-14" of `suite`, `packages` are what the tree's own programs need beside it."""

    path: str
    mounts: Mapping[str, Path]
    compiler: str
    suite: str
    packages: tuple[str, ...]
    key: str


def build_tree(kernel: Kernel, store: Store, settings: Settings, notice: Callable[[str], None]) -> BuildTree:
    """The kernel's build tree, fetched when it is an archive's; UnsupportedError when there is none."""
    match kernel.headers:
        case HeaderPackages():
            return _from_packages(kernel.headers, kernel.arch, store, settings, notice)
        case LocalTree():
            return _from_folder(kernel.headers)
    raise UnsupportedError(kernel.no_headers or f"there are no headers for kernel {kernel.release}")


def kbuild_package(
    headers: HeaderPackages, store: Store, settings: Settings, notice: Callable[[str], None]
) -> Package | None:
    """The package with kbuild's programs that a build against these headers takes; None when they hold them."""
    found = _kbuild(headers, Sources(settings), store, settings, notice)
    return found[1] if found else None


def _from_packages(
    headers: HeaderPackages, arch: Arch, store: Store, settings: Settings, notice: Callable[[str], None]
) -> BuildTree:
    sources = Sources(settings)
    own = AptRoot(sources.suite(headers.suite, arch), arch, store, settings, notice)
    kbuild = _kbuild(headers, sources, store, settings, notice)
    inputs: dict[str, Any] = {
        "packages": [_identity(package) for package in headers.packages],
        "kbuild": _identity(kbuild[1]) if kbuild else None,
        "for": f"{arch.name} on {arches.host().name}",
        "layout": 2,
    }

    def fill(folder: Path) -> dict[str, Any]:
        for root, package in (*((own, package) for package in headers.packages), *((kbuild,) if kbuild else ())):
            deb = root.download(package, folder)
            unpack_deb(deb, folder)
            deb.unlink()
        _gather(folder)
        if arch != arches.host():
            set_cross(folder / "usr/src" / headers.tree / ".kernelvariables", arch)
        return {"packages": inputs["packages"], "kbuild": inputs["kbuild"]}

    entry = store.get("headers", inputs, fill)
    return BuildTree(
        path=f"{_SOURCES}/{headers.tree}",
        mounts={_SOURCES: entry.files / "usr/src"},
        compiler=headers.compiler,
        suite=compilers_suite(headers.suite),
        packages=_needed(kbuild[1] if kbuild else headers.packages[0]),
        key=entry.key,
    )


def _kbuild(
    headers: HeaderPackages, sources: Sources, store: Store, settings: Settings, notice: Callable[[str], None]
) -> tuple[AptRoot, Package] | None:
    """The package with kbuild's programs, for this host: the newest, from where the headers' suite may have it."""
    name, version = headers.kbuild
    if not name:
        return None
    if locked := headers.kbuild_package:
        return AptRoot(sources.suite(locked.suite), arches.host(), store, settings, notice), locked
    found = []
    for suite in sources.family(headers.suite):
        root = AptRoot(suite, arches.host(), store, settings, notice)
        if not root.is_fresh():
            root.refresh()
        found += [(root, package) for package in root.packages("linux-kbuild-") if package.name == name]
    found = [(root, package) for root, package in found if version in ("", package.version)]
    if not found:
        what = f"{headers.suite} has no {name} for {arches.host().name}, which building for {headers.tree} needs"
        raise ArchiveError(what, hint="choose another kernel: lab kernel list")
    return max(found, key=lambda pair: Version(pair[1].version))


def _gather(folder: Path) -> None:
    """Move kbuild's programs to where the trees are and turn the links to them, so that one folder holds it all."""
    sources = folder / "usr/src"
    for kbuild in sorted((folder / "usr/lib").glob("linux-kbuild-*")):
        (sources / kbuild.name).unlink(missing_ok=True)
        kbuild.rename(sources / kbuild.name)
    for tree in sources.iterdir():
        for link in (path for path in tree.iterdir() if path.is_symlink()):
            target = _KBUILD_LINK.match(str(link.readlink()))
            if target:
                link.unlink()
                link.symlink_to(f"../{target[1]}{target[2] or ''}")


def set_cross(variables: Path, arch: Arch) -> None:
    """Make the tree itself say that it is compiled for across, as Debian's do from 6.12 on.

    Up to 6.1 they say so only when they are told who builds, and a driver's makefile may start a make that is told
    nothing (Falco's does, to find out what the kernel has).
    """
    if variables.is_file() and not _SETS_CROSS.search(variables.read_text()):
        with variables.open("a") as stream:
            stream.write(f"override CROSS_COMPILE = {arch.prefix}\n")


def _from_folder(local: LocalTree) -> BuildTree:
    folder = local.folder.resolve()
    compiler, suite = _nearest_compiler(local.compiler)
    # A tree with its vmlinux gives modules type information, by pahole.
    programs = ("libelf-dev", "libssl-dev", "dwarves" if suite == "bullseye" else "pahole")
    packages = source_packages(folder)
    if packages:  # a distribution's trees name each other by where they are installed
        path = f"{_SOURCES}/{folder.relative_to(packages)}"
        return BuildTree(path, {_SOURCES: packages}, compiler, suite, programs, local.key)
    mounts = {str(folder): folder}
    # A build with O= keeps its sources elsewhere and names them by their path.
    if (folder / "source").is_symlink():
        sources = (folder / "source").resolve()
        mounts[str(sources)] = sources
    return BuildTree(str(folder), mounts, compiler, suite, programs, local.key)


def _nearest_compiler(wanted: str) -> tuple[str, str]:
    """The compiler of that number or the next newer one that a suite has, and the suite."""
    number = _NUMBER.search(wanted)
    least = int(number[0]) if number else 14
    chosen = next((known for known in _COMPILERS if known >= least), max(_COMPILERS))
    return f"gcc-{chosen}", _COMPILERS[chosen]


def _needed(package: Package) -> tuple[str, ...]:
    """The names of what a package with programs depends on, the first of each alternative, without other headers."""
    names = (word.split("|")[0].split("(")[0].strip() for word in package.depends.split(","))
    return tuple(sorted(name for name in names if name and not name.startswith(("linux-", "gcc-"))))


def _identity(package: Package) -> dict[str, str]:
    return {"name": package.name, "version": package.version, "arch": package.arch, "sha256": package.sha256}
