"""`lab lock`: what lab.lock pins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from lab import lockfile
from lab.lockfile import Lock
from lab.settings import Settings
from lab.store import Store


@click.group()
def lock() -> None:
    """The exact packages that runs are made from (lab.lock)."""


@lock.command("check")
@click.argument("path", type=click.Path(path_type=Path), default=Path(lockfile.FILE), metavar="[FILE]")
@click.pass_obj
def check(settings: Settings, path: Path) -> None:
    """Read a lock file, lab.lock here when none is named, and say what it pins and what of it is in the store."""
    found = lockfile.read(path)
    store = Store(settings.store)
    for line in _lines(found, store):
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
