"""`lab kernel`: what kernels there are, what a request means, and fetching one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lab import arches
from lab.arches import ARCHES, Arch
from lab.archives.suites import DEBIAN, DISTRIBUTIONS
from lab.cli.context import notice
from lab.debugging.debuginfo import DebugSource
from lab.kernels.archive import catalog
from lab.kernels.archive.catalog import CatalogEntry
from lab.kernels.archive.provider import ArchiveChoice
from lab.kernels.build.compile import build_kernel
from lab.kernels.build.wish import parse as wish_of
from lab.kernels.kernel import Choice, HeaderPackages, Kernel
from lab.kernels.resolve import KernelSource
from lab.settings import Settings
from lab.store import Store

_COLUMNS = ("series", "newest", "release", "flavours", "suite", "arch", "headers", "in store")
_WIDTH = 200  # into a pipe a release must come whole

_arch_option = click.option("--arch", default="", help="Architecture; the host's own when not given.")


@click.group()
def kernel() -> None:
    """Kernels from distributions' archives."""


@kernel.command("list")
@click.option("--arch", default="", help="Architecture, or all; the host's own when not given.")
@click.option(
    "--distro",
    default=DEBIAN.name,
    show_default=True,
    type=click.Choice([distribution.name for distribution in DISTRIBUTIONS]),
    help="Whose kernels.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
@click.option(
    "--all", "everything", is_flag=True, help="Every version and flavour, not only the newest of each series."
)
@click.pass_obj
def list_kernels(settings: Settings, arch: str, distro: str, as_json: bool, everything: bool) -> None:
    """List the newest kernel of every series."""
    source = _source(settings)
    rows: list[dict[str, Any]] = []
    for found in ARCHES if arch == "all" else [_arch(arch)]:
        entries = source.list(found, distro)
        rows += [_row(source, entry, entries) for entry in (entries if everything else catalog.newest(entries))]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    _print(rows, everything)


@kernel.command("show")
@click.argument("request")
@_arch_option
@click.pass_obj
def show(settings: Settings, request: str, arch: str) -> None:
    """Tell which kernel REQUEST means, what it comes from and who signed it, without fetching it."""
    _echo(_described(_source(settings).resolve(request, _arch(arch))))


@kernel.command("fetch")
@click.argument("request")
@click.option("--debug", is_flag=True, help="Its debug information too: 300 MB for a cloud kernel, 1 GB for others.")
@_arch_option
@click.pass_obj
def fetch(settings: Settings, request: str, debug: bool, arch: str) -> None:
    """Fetch the kernel that REQUEST means into the store and say where it came from."""
    found = _source(settings).resolve(request, _arch(arch)).fetch()
    store = Store(settings.store, min_free_mib=settings.min_free_mib, notice=notice)
    info = DebugSource(store, settings, notice).fetch(found) if debug else None
    provenance = {name: str(value) for name, value in found.provenance.items() if isinstance(value, str)}
    lines = {
        "release": found.release,
        "version": found.version,
        "origin": found.origin,
        **{name: value for name, value in provenance.items() if name not in ("release", "version", "suite")},
        "headers": _headers(found),
        "image": str(found.image),
        **({"debug": str(info.vmlinux)} if info else {}),
        "again": found.exact,
    }
    _echo(lines.items())


@kernel.command("build")
@click.argument("name")
@click.option("--source", type=click.Path(exists=True, path_type=Path), help="Your own sources: a folder or a tarball.")
@_arch_option
@click.pass_obj
def build(settings: Settings, name: str, source: Path | None, arch: str) -> None:
    """Compile a small kernel for debugging, such as 6.12+kgdb; an interrupted build goes on where it was."""
    wish = wish_of(name, source)
    store = Store(settings.store, min_free_mib=settings.min_free_mib, notice=notice)
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(f"compiling {wish.name}", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        entry = build_kernel(wish, _arch(arch), store, settings, lambda text: screen.print(f"note: {text}"), progress)
    names = ("release", "version", "source", "compiler", "seconds")
    made = {field: str(entry.provenance[field]) for field in names if field in entry.provenance}
    _echo({**made, "again": wish.request}.items())


def _described(choice: Choice) -> list[tuple[str, str]]:
    lines = [("release", choice.release), ("version", choice.version), ("origin", choice.origin)]
    if not isinstance(choice, ArchiveChoice):
        return lines
    entry, stored = choice.entry, choice.stored()
    lines += [("arch", entry.arch.name), ("flavour", entry.flavour)]
    lines += [("package", f"{package.filename} sha256:{package.sha256}") for package in entry.packages]
    if entry.headers:
        lines += [("headers", f"{package.filename} sha256:{package.sha256}") for package in entry.headers.packages]
        lines += [("compiler", entry.headers.compiler)]
    else:
        lines += [("headers", entry.no_headers)]
    lines += [("in store", "yes" if stored else "no")]
    return [*lines, *((name, stored[name]) for name in ("archive", "signed_by") if stored)]


def _headers(kernel: Kernel) -> str:
    if kernel.headers is None:
        return kernel.no_headers
    if isinstance(kernel.headers, HeaderPackages):
        return ", ".join(package.name for package in kernel.headers.packages)
    return str(kernel.headers.folder)


def _row(source: KernelSource, entry: CatalogEntry, offered: Sequence[CatalogEntry]) -> dict[str, Any]:
    return {
        "series": entry.series,
        "newest": entry.point,
        "release": entry.release,
        "version": entry.version,
        "flavour": entry.flavour,
        "flavours": catalog.flavours_of(entry.series, offered),
        "distro": entry.distro,
        "suite": entry.suite,
        "arch": entry.arch.name,
        "headers": entry.headers is not None,
        "stored": source.stored(entry),
    }


def _print(rows: Sequence[dict[str, Any]], everything: bool) -> None:
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for row in rows:
        flavours = row["flavour"] if everything else ", ".join(row["flavours"])
        flags = ("yes" if row["headers"] else "no", "yes" if row["stored"] else "no")
        table.add_row(row["series"], row["newest"], row["release"], flavours, row["suite"], row["arch"], *flags)
    console = Console()
    Console(width=None if console.is_terminal else _WIDTH).print(table)


def _echo(lines: Iterable[tuple[str, str]]) -> None:
    for name, value in lines:
        click.echo(f"{name + ':':<11}{value}")


def _arch(name: str) -> Arch:
    return arches.find(name) if name else arches.host()


def _source(settings: Settings) -> KernelSource:
    store = Store(settings.store, min_free_mib=settings.min_free_mib, notice=notice)
    return KernelSource(store, settings, notice)
