"""`lab lock`: pin the exact packages that runs are made from, and say what is pinned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from lab import arches, lockfile
from lab.cli.context import notice
from lab.drivers.manifest import default_driver
from lab.lockfile import Lock
from lab.matrix.cell import cells
from lab.matrix.locking import lock_cells
from lab.matrix.provision import Lab
from lab.settings import Settings
from lab.store import Store


@click.group(invoke_without_command=True)
@click.option("--kernel", default="", metavar="LIST", help="Kernels, as pytest takes them.")
@click.option("--arch", default="", metavar="LIST", help="Architectures; the host's own when not given.")
@click.option("--driver", default="", metavar="LIST", help="Drivers; the default one when not given.")
@click.pass_context
def lock(ctx: click.Context, kernel: str, arch: str, driver: str) -> None:
    """Write lab.lock: the exact packages of these kernels, drivers, guests and compilers, as the archives have them
    now. Runs in this folder then take those, from the store or the archive, until it is written anew."""
    if ctx.invoked_subcommand is not None:
        return
    settings: Settings = ctx.obj
    # What an old lock says is what shall be replaced.
    lab = Lab(settings.model_copy(update={"lock_file": Path("/nonexistent/lab.lock")}), notice)
    chosen = cells(
        kernel or settings.kernel,
        arch or arches.host().name,
        driver or settings.driver or default_driver(),
        lab.kernels.expand,
    )
    made = lock_cells(lab, chosen, notice)
    lockfile.write(settings.lock_file, made)
    for line in _lines(made, lab.store):
        click.echo(line)


@lock.command("check")
@click.argument("path", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@click.pass_obj
def check(settings: Settings, path: Path | None) -> None:
    """Read a lock file, lab.lock here when none is named, and say what it pins and what of it is in the store."""
    found = lockfile.read(path or settings.lock_file)
    for line in _lines(found, Store(settings.store)):
        click.echo(line)


def _lines(found: Lock, store: Store) -> Iterator[str]:
    for kernel in found.kernels:
        where = "in the store" if store.has("kernel", kernel.inputs()) else "not in the store"
        tree = "with its headers" if kernel.headers else "without headers"
        named = f"{kernel.release} ({kernel.version}, {kernel.origin})"
        yield f"kernel {kernel.request} {kernel.arch}: {named} {tree}, {where}"
    for root in found.roots:
        yield f"{root.kind} {root.name} {root.arch}: {len(root.packages)} packages of {root.suite}"
    for source in found.sources:
        yield f"source {source.name}: {source.version} ({source.suite})"
