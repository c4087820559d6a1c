"""`lab race-map`: which moments of a system call mislead a driver about its arguments."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from lab.cli.context import Wanted, cell_options, notice
from lab.cli.terminal import STDOUT, write
from lab.drivers.manifest import default_driver
from lab.errors import ExitCode
from lab.matrix.provision import Lab
from lab.races.racemap import RaceMap
from lab.races.report import Grid, as_json, picture, show
from lab.races.subjects import SUBJECTS
from lab.races.windows import Window
from lab.settings import Settings

_MAX_REPEAT = 1000


@click.command("race-map")
@cell_options
@click.option(
    "--call", "calls", multiple=True, type=click.Choice(list(SUBJECTS)), metavar="CALL", help=", ".join(SUBJECTS)
)
@click.option(
    "--at",
    "windows",
    multiple=True,
    type=click.Choice([str(window) for window in Window]),
    help="A moment; all when none is given.",
)
@click.option(
    "--repeat", type=click.IntRange(1, _MAX_REPEAT), default=1, show_default=True, help="How often each is done."
)
@click.option(
    "--json",
    "output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write every point there; - prints that instead of the table.",
)
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the table there, as a picture.")
@click.pass_obj
def race_map(
    settings: Settings,
    wanted: Wanted,
    calls: tuple[str, ...],
    windows: tuple[str, ...],
    repeat: int,
    output: Path | None,
    svg: Path | None,
) -> int:
    """Change a call's argument at chosen moments and compare what the driver reports with what the kernel did.

    The moments are chosen from outside the guest, so each answer is the same every time; the status is 1 when one was
    not.
    """
    cell = replace(wanted, driver=wanted.driver or settings.driver or default_driver()).cell(settings)
    for path in (output, svg):
        write(path, "")  # now, not when all has been done
    lab = Lab(settings, notice)
    prepared = lab.prepare(cell)
    chosen = [Window(window) for window in windows] or list(Window)
    points = RaceMap(lab, prepared, notice).run(calls or tuple(SUBJECTS), chosen, repeat)
    title = f"{cell.slug}: kernel {prepared.kernel.release}"
    versions: dict[str, Any] = {"lab": version("kernel-lab"), **prepared.versions()}
    if output is not None:
        write(output, as_json(points, {"cell": cell.slug, "repeat": repeat, "versions": versions}) + "\n")
    if svg is not None:
        write(svg, picture(points, title))
    if output != STDOUT:
        show(points, title)
    return ExitCode.CHECK_FAILED if Grid(points).varied() else ExitCode.OK
