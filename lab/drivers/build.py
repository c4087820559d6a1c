"""Builds a driver for a kernel with that kernel's own compiler, once per content of everything that goes into it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian.debian_support import Version

from lab import lockfile
from lab.arches import Arch, host
from lab.archives.aptroot import AptRoot, Package
from lab.archives.debs import unpack_deb
from lab.archives.sources import Sources
from lab.drivers.manifest import DriverMode, Source
from lab.errors import ArchiveError, BuildError, UnsupportedError
from lab.images.builder import Builder, builder_root
from lab.images.programs import first_error
from lab.kernels.headers import BuildTree, build_tree
from lab.kernels.kernel import Kernel
from lab.lockfile import LockedPackage
from lab.settings import Settings
from lab.store import Store, content_digest, key_of

_BUILD_DEADLINE = 900.0
_STRIP_DEADLINE = 60.0


@dataclass(frozen=True)
class DriverBuild:
    """A built driver: `module` is the file to load, None for one that needs none; `key` is the store's, `provenance`
    what it was made from."""

    driver: DriverMode
    module: Path | None
    key: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class _Sources:
    folder: Path
    key: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class _Work:
    """One build: what for what, with what, into which folder of the store."""

    driver: DriverMode
    kernel: Kernel
    tree: BuildTree
    builder: Builder
    folder: Path
    log: Path


def demand_supported(driver: DriverMode, kernel: Kernel) -> None:
    """UnsupportedError with the reason when the manifest or the kernel says that this cell cannot be."""
    minimum = driver.mode.minimum_kernel.get(kernel.arch.name)
    if minimum is None:
        raise UnsupportedError(f"{driver.name} does not support {kernel.arch.name} (its manifest)")
    if Version(kernel.series) < Version(minimum):
        raise UnsupportedError(f"{driver.name} needs kernel {minimum} or newer on {kernel.arch.name} (its manifest)")
    for option in driver.mode.needs_config:
        if kernel.option(option) is None:
            raise UnsupportedError(f"kernel {kernel.release} lacks CONFIG_{option}, which {driver.name} needs")
    if driver.mode.build != "none" and kernel.headers is None:
        raise UnsupportedError(f"{kernel.no_headers}: nothing can be compiled for it")


def build_driver(
    driver: DriverMode, kernel: Kernel, store: Store, settings: Settings, notice: Callable[[str], None]
) -> DriverBuild:
    """The driver built for that kernel, from the store when nothing that goes into it changed.

    UnsupportedError when it cannot be; BuildError with the compiler's first error, its log kept in the store.
    """
    demand_supported(driver, kernel)
    if driver.mode.source is None:
        key = key_of({"folder": content_digest(driver.folder), "mode": driver.mode_name})
        return DriverBuild(driver, None, key, {"folder": str(driver.folder), "kernel": kernel.release})
    sources = _fetch_sources(driver, driver.mode.source, store, settings, notice)
    tree = build_tree(kernel, store, settings, notice)
    builder = builder_root(
        "kernel", store, settings, notice, suite=tree.suite, extra=(compiler_package(tree, kernel.arch), *tree.packages)
    )
    inputs = {
        "sources": sources.key,
        "builder": builder.key,
        "tree": tree.key,
        "kernel": kernel.key,
        "build": driver.mode.build,
        "module": driver.mode.module,
        "layout": 2,
    }

    def fill(folder: Path) -> dict[str, Any]:
        notice(f"building {driver.name} for {kernel.release}")
        log = store.state("logs") / f"build-{key_of(inputs)}.log"
        log.unlink(missing_ok=True)
        _build(_Work(driver, kernel, tree, builder, folder, log), sources)
        return {**sources.provenance, "kernel": kernel.release, "compiler": _compiler(builder)}

    entry = store.get("driver", inputs, fill)
    return DriverBuild(driver, entry.files / f"{driver.mode.module}.ko", entry.key, entry.provenance)


def _build(job: _Work, sources: _Sources) -> None:
    work = job.folder / "build"
    shutil.copytree(sources.folder, work)
    module = job.driver.mode.module
    words = [f"{name}={value}" for name, value in make_variables(job.kernel.arch, job.tree.compiler).items()]
    done = job.builder.run(
        ["make", "-C", job.tree.path, "M=/build", "-j2", *words, "modules"],
        work=work,
        deadline=_BUILD_DEADLINE,
        log=job.log,
        mounts=job.tree.mounts,
    )
    built = work / f"{module}.ko"
    if done.status != 0 or not built.is_file():
        raise BuildError(
            f"{job.driver.name} does not build for {job.kernel.release}: {first_error(done.text)}",
            hint="read the log; drivers that the kernel's changes broke need a newer version",
            log=job.log,
        )
    shutil.copy(built, job.folder / "debug.ko")
    # What is loaded goes without debug information: it travels into every machine.
    strip = job.builder.run(
        [_program(job.kernel.arch, "strip"), "--strip-debug", built.name], work=work, deadline=_STRIP_DEADLINE
    )
    if strip.status != 0:
        raise BuildError(f"strip failed: {strip.stderr.decode(errors='replace')}")
    shutil.move(built, job.folder / built.name)
    shutil.rmtree(work)


def compiler_package(tree: BuildTree, arch: Arch) -> str:
    """The package that compiles for `arch` on this host, in the version that the tree wants."""
    return tree.compiler if arch == host() else arch.cross_package(tree.compiler)


def make_variables(arch: Arch, compiler: str) -> dict[str, str]:
    """What kbuild is told, so that it compiles for `arch` with that compiler ("gcc-14") and runs its own programs."""
    cross = "" if arch == host() else arch.prefix
    return {"ARCH": arch.kbuild, "CROSS_COMPILE": cross, "CC": f"{cross}{compiler}"}


def _program(arch: Arch, name: str) -> str:
    return name if arch == host() else f"{arch.prefix}{name}"


def _fetch_sources(
    driver: DriverMode, source: Source, store: Store, settings: Settings, notice: Callable[[str], None]
) -> _Sources:
    if source.package:
        return _fetch_package(source, store, settings, notice)
    folder = driver.folder / source.folder
    if not folder.is_dir():
        raise BuildError(f"the sources of {driver.name} are not at {folder}", hint="correct `folder` in driver.toml")
    return _Sources(folder, content_digest(folder), {"folder": str(folder)})


def _fetch_package(source: Source, store: Store, settings: Settings, notice: Callable[[str], None]) -> _Sources:
    archive = AptRoot(Sources(settings).suite(source.suite), host(), store, settings, notice)
    locked = lockfile.active(settings).source(source.package, source.suite)
    newest = locked.package() if locked else _newest(archive, source.package)
    inputs = {"package": newest.name, "version": newest.version, "sha256": newest.sha256, "layout": 2}

    def fill(folder: Path) -> dict[str, Any]:
        notice(f"fetching {newest.name} {newest.version}")
        (package,) = lockfile.fetch([LockedPackage.of(newest)], lambda wanted: archive.download(wanted, folder))
        unpack_deb(package, folder / "unpacked")
        package.unlink()
        signed_by = "" if locked else archive.signed_by()
        return {**inputs, "suite": source.suite, "signed_by": signed_by, "lock": LockedPackage.of(newest).model_dump()}

    entry = store.get("source", inputs, fill)
    folders = sorted((entry.files / "unpacked").glob(source.folder))
    if not folders:
        raise ArchiveError(f"{newest.name} {newest.version} holds no {source.folder}", hint="correct driver.toml")
    return _Sources(folders[0], entry.key, entry.provenance)


def _newest(archive: AptRoot, name: str) -> Package:
    archive.refresh()
    found = [package for package in archive.packages(name) if package.name == name]
    if not found:
        raise ArchiveError(f"{archive.suite.name} has no package {name}", hint="correct `source` in driver.toml")
    return max(found, key=lambda package: Version(package.version))


def _compiler(builder: Builder) -> str:
    names = sorted(name for name in builder.packages if re.fullmatch(r"gcc-\d+(-[a-z0-9-]+-linux-gnu)?", name))
    return ", ".join(f"{name} {builder.packages[name]}" for name in names)
