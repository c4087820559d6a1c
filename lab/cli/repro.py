"""`lab repro`: a bundle's scenario once more, on the same cell."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from lab.cli.context import notice
from lab.errors import RequestError
from lab.evidence.repro import read_repro


@click.command("repro")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("more", nargs=-1, metavar="[-- PYTEST'S OPTIONS...]")
def repro(bundle: Path, more: tuple[str, ...]) -> None:
    """Run the scenario that left BUNDLE again: the same kernel, architecture, driver and seed; pytest's exit status."""
    arguments, folder = read_repro(bundle)
    if not (folder / arguments[0].partition("::")[0]).exists():
        folder = Path.cwd()
    if not (folder / arguments[0].partition("::")[0]).exists():
        raise RequestError(
            f"{arguments[0].partition('::')[0]} is neither in {folder} nor where the bundle was made",
            hint="run it in the clone that has the scenario",
        )
    words = ["-m", "pytest", *arguments, *more]
    notice(f"in {folder}: pytest {shlex.join(words[2:])}")
    os.chdir(folder)
    # pytest owns the terminal, the signals and the exit status from here on.
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - no shell, and nothing of ours is left to do
