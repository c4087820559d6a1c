"""Builds a driver for a kernel with that kernel's own compilers, once per content of everything that goes into it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian.debian_support import Version

from lab.drivers.artifact import demand_fitting
from lab.drivers.bpf import COMPILERS, build_core, build_legacy
from lab.drivers.gaps import build_gap
from lab.drivers.kbuild import build_module
from lab.drivers.manifest import DriverMode
from lab.drivers.reader import build_reader
from lab.drivers.sources import Tree, driver_sources
from lab.drivers.work import Output, Work, compiler_package
from lab.errors import BuildError, KnownGapError, UnsupportedError
from lab.images.builder import Builder, builder_root
from lab.images.programs import errors
from lab.kernels.headers import BuildTree, build_tree
from lab.kernels.kernel import Kernel
from lab.settings import Settings
from lab.store import Entry, Store, content_digest, file_digest, key_of

_AGAINST_HEADERS = frozenset({"kbuild", "legacy-bpf"})
_MOST_OF_A_LOG = 1 << 22  # bytes of a build's log that are read


@dataclass(frozen=True)
class DriverBuild:
    """A built driver: `files` are what goes into the guest, by their words in the manifest ({module}, {object},
    {program}, {artifact}); `key` is the store's, `provenance` what it was made from."""

    driver: DriverMode
    files: Mapping[str, Path]
    key: str
    provenance: dict[str, Any]

    @property
    def module(self) -> Path | None:
        """The kernel module, where it is one."""
        return self.files.get("module")


@dataclass(frozen=True)
class _Lab:
    """What every step needs."""

    store: Store
    settings: Settings
    notice: Callable[[str], None]
    output: Output | None


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
    if driver.mode.build in _AGAINST_HEADERS and kernel.headers is None:
        raise UnsupportedError(f"{kernel.no_headers}: nothing can be compiled for it")
    if driver.artifact:
        demand_fitting(driver.artifact, kernel, driver.name)


def build_driver(
    driver: DriverMode,
    kernel: Kernel,
    store: Store,
    settings: Settings,
    notice: Callable[[str], None],
    output: Output | None = None,
) -> DriverBuild:
    """The driver built for that kernel, from the store when nothing that goes into it changed; `output` gets what the
    compilers print.

    UnsupportedError when it cannot be; BuildError with the compiler's first error, its log kept in the store;
    KnownGapError when it is the one that the manifest expects.
    """
    demand_supported(driver, kernel)
    lab = _Lab(store, settings, notice, output)
    built = _given(driver, kernel) if driver.mode.source is None else _built(driver, kernel, lab)
    consumer = driver.mode.consumer
    if consumer is None or consumer.program is None:
        return built
    program = build_reader(driver, consumer.program, kernel.arch, store, settings, notice, output)
    key = key_of({"driver": built.key, "program": file_digest(program)})
    return DriverBuild(driver, {**built.files, "program": program}, key, built.provenance)


def _given(driver: DriverMode, kernel: Kernel) -> DriverBuild:
    """A driver of which nothing is built."""
    files = {"artifact": driver.artifact} if driver.artifact else {}
    digests = {name: file_digest(path) for name, path in files.items()}
    key = key_of({"folder": content_digest(driver.folder), "mode": driver.mode_name, **digests})
    provenance = {"folder": str(driver.folder), "kernel": kernel.release, **digests}
    return DriverBuild(driver, files, key, provenance)


def _built(driver: DriverMode, kernel: Kernel, lab: _Lab) -> DriverBuild:
    assert driver.mode.source is not None  # noqa: S101 - what is built has sources (schema)
    sources = driver_sources(driver, driver.mode.source, lab.store, lab.settings, lab.notice)
    tree = None
    if driver.mode.build in _AGAINST_HEADERS:
        tree = build_tree(kernel, lab.store, lab.settings, lab.notice)
    builder = _builder(driver, kernel, tree, lab)
    made = f"{driver.mode.module}.ko" if driver.mode.module else driver.mode.object
    inputs = _inputs(driver, kernel, sources, tree, builder)

    def fill(folder: Path) -> dict[str, Any]:
        lab.notice(f"building {driver.name} for {kernel.release if tree else kernel.arch.name}")
        log = lab.store.state("logs") / f"build-{key_of(inputs)}.log"
        log.unlink(missing_ok=True)
        work = Work(driver, kernel, sources, tree, builder, folder, log, lab.output)
        shutil.copytree(sources.folder, work.place)
        _make(work)
        shutil.copy(log, folder / "build.log")
        shutil.rmtree(work.place)
        return {**sources.provenance, "kernel": kernel.release, "compiler": _compiler(builder, driver)}

    entry = as_expected(driver, kernel, lambda: lab.store.get("driver", inputs, fill))
    files = {"module" if driver.mode.module else "object": entry.files / made}
    return DriverBuild(driver, files, entry.key, entry.provenance)


def as_expected(driver: DriverMode, kernel: Kernel, build: Callable[[], Entry]) -> Entry:
    """What the manifest says of it being built for that kernel is a strict expectation; not of sources or options that
    it does not know."""
    gap = None if driver.source or driver.options else build_gap(driver.mode.gaps, kernel)
    try:
        entry = build()
    except BuildError as error:
        if gap and _tells(error, gap.build):
            raise KnownGapError(f"{error.what} ({gap.text})", log=error.log) from error
        raise
    if gap:
        raise BuildError(
            f"the manifest of {driver.name} lists that it does not build for {kernel.release}, and it does: {gap.text}",
            hint="take the gap out of driver.toml, or narrow it to the kernels and architectures that have it",
        )
    return entry


def _tells(error: BuildError, text: str) -> bool:
    """Whether it is one of the build's errors: files are compiled side by side, and which fails first is chance."""
    if text in error.what or error.log is None or not error.log.is_file():
        return text in error.what
    with error.log.open("rb") as log:
        output = log.read(_MOST_OF_A_LOG).decode(errors="replace")
    return any(text in found for found in errors(output))


def _make(work: Work) -> None:
    match work.driver.mode.build, work.tree:
        case "kbuild", BuildTree() as tree:
            build_module(work, tree)
        case "legacy-bpf", BuildTree() as tree:
            build_legacy(work, tree)
        case _:
            build_core(work)


def _builder(driver: DriverMode, kernel: Kernel, tree: BuildTree | None, lab: _Lab) -> Builder:
    if tree is None:
        return builder_root("bpf", lab.store, lab.settings, lab.notice)
    extra = (compiler_package(tree, kernel.arch), *tree.packages)
    extra += COMPILERS if driver.mode.build == "legacy-bpf" else ()
    return builder_root("kernel", lab.store, lab.settings, lab.notice, suite=tree.suite, extra=extra)


def _inputs(
    driver: DriverMode, kernel: Kernel, sources: Tree, tree: BuildTree | None, builder: Builder
) -> dict[str, Any]:
    """What a build is known by: not the kernel where it is none of one kernel."""
    mode = driver.mode
    return {
        "sources": sources.key,
        "subfolder": sources.subfolder,
        "builder": builder.key,
        **({"tree": tree.key, "kernel": kernel.key} if tree else {"arch": kernel.arch.name}),
        "build": mode.build,
        "module": mode.module,
        "object": mode.object,
        "make": mode.make,
        "defines": driver.defines,
        "layout": 3,
    }


def _compiler(builder: Builder, driver: DriverMode) -> str:
    names = r"gcc-\d+(-[a-z0-9-]+-linux-gnu)?" if driver.mode.build == "kbuild" else r"clang-\d+"
    found = sorted(name for name in builder.packages if re.fullmatch(names, name))
    return ", ".join(f"{name} {builder.packages[name]}" for name in found)
