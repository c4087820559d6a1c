"""`lab kernel`: what kernels there are, and fetching one."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lab import arches
from lab.cli.context import notice
from lab.kernels.catalog import CatalogEntry
from lab.kernels.kernel import HeaderPackages, Kernel
from lab.kernels.resolve import KernelSource
from lab.settings import Settings
from lab.store import Store


@click.group()
def kernel() -> None:
    """Kernels from distributions' archives."""


@kernel.command("list")
@click.option("--arch", default="", help="Architecture; the host's own when not given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
@click.option(
    "--all", "everything", is_flag=True, help="Every version and flavour, not only the newest of each series."
)
@click.pass_obj
def list_kernels(settings: Settings, arch: str, as_json: bool, everything: bool) -> None:
    """List the newest kernel of every series."""
    source = _source(settings)
    found = arches.find(arch) if arch else arches.host()
    entries = source.list(found) if everything else source.newest(found)
    rows = [_row(source, entry) for entry in entries]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("series", "release", "flavour", "suite", "headers", "in store", box=None, pad_edge=False)
    for row in rows:
        flags = ("yes" if row["headers"] else "no", "yes" if row["stored"] else "no")
        table.add_row(row["series"], row["release"], row["flavour"], row["suite"], *flags)
    # Into a pipe a release must come whole.
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)


@kernel.command("fetch")
@click.argument("request")
@click.option("--arch", default="", help="Architecture; the host's own when not given.")
@click.pass_obj
def fetch(settings: Settings, request: str, arch: str) -> None:
    """Fetch the kernel that REQUEST means into the store and say where it came from."""
    source = _source(settings)
    found = source.fetch(source.resolve(request, arches.find(arch) if arch else arches.host()))
    lines = {
        "release": found.release,
        **{name: found.provenance[name] for name in ("package", "version", "sha256", "suite", "archive", "signed_by")},
        "headers": ", ".join(_names(found)) or found.no_headers,
        "image": found.image,
    }
    for name, value in lines.items():
        click.echo(f"{name + ':':<11}{value}")


def _names(kernel: Kernel) -> list[str]:
    return [package.name for package in kernel.headers.packages] if isinstance(kernel.headers, HeaderPackages) else []


def _source(settings: Settings) -> KernelSource:
    store = Store(settings.store, min_free_mib=settings.min_free_mib, notice=notice)
    return KernelSource(store, settings, notice)


def _row(source: KernelSource, entry: CatalogEntry) -> dict[str, Any]:
    return {
        "series": entry.series,
        "release": entry.release,
        "version": entry.version,
        "flavour": entry.flavour,
        "suite": entry.suite,
        "headers": entry.headers is not None,
        "stored": source.stored(entry),
    }
