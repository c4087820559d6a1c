"""A root file system out of packages, extracted and not installed: no maintainer script runs, any architecture goes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from lab import process
from lab.arches import Arch
from lab.archives import aptconf, failures, release
from lab.archives.failures import HalfUpdatedError
from lab.archives.suites import Suite, other_name
from lab.errors import ArchiveError, RequestError
from lab.process import ProgramFailedError
from lab.settings import Settings
from lab.store import file_digest

_DEADLINE = 900.0
_LOST = re.compile(r"Unable to locate package \S+|Version \S+ for \S+ was not found")
_NOT_PINNED = "take what the archive has now: write lab.lock anew"
_MERGED = ("bin", "sbin", "lib", "lib64")
_FOLDERS = ("proc", "dev", "sys", "run", "tmp", "root")
_DROPPED = ("doc", "man", "locale", "info")
_DEBIAN_FILE = re.compile(r"(?P<name>[^_]+)_(?P<version>[^_]+)_[^_]+\.deb")
# Maintainer scripts make these links, and none of them has run.
_ALTERNATIVES = {"sh": "dash", "awk": "mawk"}
# mmdebstrap runs it before anything is extracted: packages older than the usr-merge must not make real folders of
# these. A constant; nothing of the lab's or the user's is in it.
_MERGE_HOOK = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'


@dataclass(frozen=True)
class RootRecipe:
    """What goes into a root: `packages` are "name" or "name=version"; the first of `suites` is preferred."""

    suites: tuple[Suite, ...]
    packages: tuple[str, ...]
    arch: Arch


@dataclass(frozen=True)
class Exact:
    """One package to the bit: its version, and the SHA-256 of its file."""

    version: str
    sha256: str


class Extracted(dict[str, str]):
    """What is in a root, {package: version}; `digests` are {package: SHA-256 of its file}."""

    def __init__(self, packages: Mapping[str, Exact]) -> None:
        super().__init__({name: package.version for name, package in packages.items()})
        self.digests = {name: package.sha256 for name, package in packages.items()}


_NO_PINS: Mapping[str, Exact] = MappingProxyType({})


def extract_root(
    recipe: RootRecipe,
    folder: Path,
    *,
    settings: Settings,
    log: Path,
    notice: Callable[[str], None],
    pins: Mapping[str, Exact] = _NO_PINS,
) -> Extracted:
    """Extract the recipe's packages and all they depend on into the empty `folder`; returns what that is.

    With `pins` (from an earlier extraction of the recipe) it is exactly these, or an error. Nothing is configured:
    there is no /etc/passwd and no ld.so.cache. What differs from host to host (device nodes, host name, apt's settings)
    is not there either. Raises ArchiveError when the archive is silent or not to be trusted, or has what is pinned no
    more.
    """
    if not recipe.suites or not recipe.packages:
        raise RequestError("a root file system needs a suite and a package", hint="complete the recipe")
    aptconf.demand_online(settings, f"a root of {recipe.suites[0].name} with {', '.join(recipe.packages)}")
    words = [f"{name}={pin.version}" for name, pin in sorted(pins.items())] or list(recipe.packages)
    try:
        _run(recipe, words, folder, settings, log)
    except HalfUpdatedError as error:
        other = _otherwise(recipe)
        if other == recipe:
            raise
        notice(f"{error.what}; trying it as {', '.join(suite.name for suite in other.suites)}")
        _clear(folder)
        _run(other, words, folder, settings, log)
    for path in sorted((folder / "var/lib/apt/lists").glob("*_InRelease")):
        if warning := release.expiry_notice(path, release.suite_of(path)):
            notice(warning)
    packages = _packages(folder / "var/cache/apt/archives")
    if pins:
        _demand_pins(packages, pins, log)
    _tidy(folder)
    _complete(folder)
    return Extracted(packages)


def _run(recipe: RootRecipe, words: Sequence[str], folder: Path, settings: Settings, log: Path) -> None:
    try:
        process.run(_argv(recipe, words, folder, settings), deadline=_DEADLINE, log=log)
    except ProgramFailedError as error:
        raise _failure(error, recipe, log, pinned=words != list(recipe.packages)) from error


def _otherwise(recipe: RootRecipe) -> RootRecipe:
    """The same packages from the same suites by their other names: a mirror may be half updated under one name and
    whole under the other."""
    suites = tuple(replace(suite, name=other_name(suite.name) or suite.name) for suite in recipe.suites)
    return replace(recipe, suites=suites)


def _clear(folder: Path) -> None:
    """Empty it of what a failed extraction left."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _failure(error: ProgramFailedError, recipe: RootRecipe, log: Path, *, pinned: bool) -> ArchiveError:
    names = ", ".join(suite.name for suite in recipe.suites)
    lost = list(dict.fromkeys(match[0] for match in _LOST.finditer(error.output)))
    if not lost:
        return failures.archive_error(error, names, recipe.suites[0].uri, log)
    what = f"{names}: {'; '.join(lost)}"
    if pinned:
        return ArchiveError(f"the archive has no more what lab.lock names: {what}", hint=_NOT_PINNED, log=log)
    hint = "correct the recipe, or read the suite's lists again if the package was replaced"
    return ArchiveError(what, hint=hint, log=log)


def _demand_pins(packages: Mapping[str, Exact], pins: Mapping[str, Exact], log: Path) -> None:
    """ArchiveError unless the packages are the pinned ones, all of them and no other."""
    for name in sorted({*packages, *pins}):
        found, pinned = packages.get(name), pins.get(name)
        if found == pinned:
            continue
        if found is None or pinned is None:
            what = (
                f"{name} was {'not ' if found is None else ''}extracted and is {'not ' if pinned is None else ''}pinned"
            )
        elif found.version != pinned.version:
            what = f"{name} is pinned to {pinned.version}, and the archive gave {found.version}"
        else:
            what = f"{name} {found.version} is not the file that is pinned: its SHA-256 differs"
        raise ArchiveError(what, hint=_NOT_PINNED, log=log)


def _argv(recipe: RootRecipe, packages: Sequence[str], folder: Path, settings: Settings) -> list[str]:
    # Debian's unprivileged mode needs user namespaces; extracting needs no privilege at all.
    mode = "root" if os.geteuid() == 0 else "chrootless"
    options = aptconf.options(settings)
    if recipe.suites[0].name.endswith("-backports") or recipe.suites[0].name == "experimental":
        # These suites say NotAutomatic: without it apt takes nothing from them that another suite has too. Not for
        # the others: apt refuses a default release that is empty, as a security suite is at first.
        options["APT::Default-Release"] = recipe.suites[0].name
    return [
        process.which("mmdebstrap"),
        "--variant=extract",
        f"--mode={mode}",
        "--format=directory",
        f"--architectures={recipe.arch.name}",
        f"--include={','.join(packages)}",
        "--skip=cleanup/apt",  # the names of the packages' files tell what was extracted
        f"--setup-hook={_MERGE_HOOK}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _DROPPED),
        *(f'--aptopt={name} "{value}"' for name, value in options.items()),
        recipe.suites[0].name,
        str(folder),
        *(suite.line() for suite in recipe.suites),
    ]


def _packages(archives: Path) -> dict[str, Exact]:
    """Every package by its name, out of files such as busybox-static_1%3a1.38.0-3_amd64.deb."""
    files = {path: _DEBIAN_FILE.fullmatch(path.name) for path in sorted(archives.glob("*.deb"))}
    return {
        match["name"]: Exact(unquote(match["version"]), file_digest(path)) for path, match in files.items() if match
    }


def _tidy(folder: Path) -> None:
    """Take away what mmdebstrap brought and no package did: apt's and dpkg's state, and what tells of the host."""
    for place in ("etc/apt", "etc/dpkg", "var/lib/apt", "var/lib/dpkg", "var/cache/apt", "var/log/apt", "dev"):
        shutil.rmtree(folder / place, ignore_errors=True)
    for place in ("etc/hostname", "etc/resolv.conf", "etc/fstab"):
        (folder / place).unlink(missing_ok=True)
    for name in _DROPPED:
        shutil.rmtree(folder / "usr" / "share" / name, ignore_errors=True)


def _complete(folder: Path) -> None:
    for name in _FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    for name in _MERGED:
        if not os.path.lexists(folder / name):
            (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(f"usr/{name}")
    for name, program in _ALTERNATIVES.items():
        link = folder / "usr" / "bin" / name
        if (folder / "usr" / "bin" / program).exists() and not os.path.lexists(link):
            link.symlink_to(program)
