"""`lab matrix`: what whole runs showed."""

from __future__ import annotations

import time
from pathlib import Path

import click

from lab.errors import HostError
from lab.matrix.compatibility import compatibility
from lab.matrix.runs import read_run


@click.group()
def matrix() -> None:
    """Kernels x architectures x drivers."""


@matrix.command("report")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there instead of printing.")
def report(folders: tuple[Path, ...], output: Path | None) -> None:
    """Make the table of what each driver did on each kernel, in Markdown, from runs' folders (lab-bundles/run-...).

    Of a cell that stands in several runs the last one named counts.
    """
    text = compatibility([read_run(folder) for folder in folders], date=time.strftime("%Y-%m-%d", time.gmtime()))
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise HostError(f"{output} cannot be written: {error.strerror}", hint="name another file") from error
