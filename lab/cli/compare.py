"""`lab compare`: the same actions under several drivers, in one table."""

from __future__ import annotations

import shlex
import time
from importlib.metadata import version
from pathlib import Path

import click

from lab import arches
from lab.cli.context import Wanted, cell_options, notice
from lab.cli.terminal import write
from lab.compare.actions import ACTIONS
from lab.compare.comparison import Comparison
from lab.compare.report import markdown, show
from lab.drivers.manifest import Given, find_driver, find_drivers, own_drivers
from lab.errors import ExitCode, RequestError
from lab.matrix.cell import cells
from lab.matrix.provision import Lab
from lab.settings import Settings


@click.command()
@cell_options
@click.option(
    "--action",
    "names",
    multiple=True,
    type=click.Choice([action.name for action in ACTIONS]),
    metavar="ACTION",
    help=", ".join(action.name for action in ACTIONS) + "; all when none is given.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it there too, in Markdown, with its date."
)
@click.pass_obj
def compare(settings: Settings, wanted: Wanted, names: tuple[str, ...], output: Path | None) -> int:
    """Do the same under several drivers (--driver is a list here): who reports it, and who says something else.

    Without --driver: every driver of the lab's that needs no program from you, in every mode and version. --kernel and
    --arch may be lists too: a table for each. The status is 1 when nothing can be said of any.
    """
    drivers = ",".join(find_drivers(wanted.driver or everyone()))
    if not drivers:
        raise RequestError("no driver is named", hint="--driver falco:kmod,tap:all")
    for driver in find_drivers(drivers):
        find_driver(driver, Given.of(settings))
    lab = Lab(settings, notice)
    kernels, names_of_arches = wanted.kernel or settings.kernel, wanted.arch or arches.host().name
    asked = cells(kernels, names_of_arches, drivers, lab.kernels.expand)
    write(output, "")  # now, not when all has been done
    actions = [action for action in ACTIONS if not names or action.name in names]
    tables = Comparison(lab, actions, notice).run(asked)
    if output is not None:
        command = shlex.join(["lab", "compare", "--kernel", kernels, "--arch", names_of_arches])
        command += f" --driver {wanted.driver}" if wanted.driver else ""
        made_with = f"kernel-lab {version('kernel-lab')}."
        date = time.strftime("%Y-%m-%d", time.gmtime())
        write(output, markdown(tables, actions, date=date, command=command, facts=[made_with]))
    for compared in tables:
        show(compared, actions)
    return ExitCode.OK if any(compared.ran for compared in tables) else ExitCode.CHECK_FAILED


def everyone() -> str:
    """Every mode of every driver of the lab's that needs nothing from the user, in every version, as a list."""
    found = []
    for _, manifest in own_drivers():
        others = [f"@{name}" for name in manifest.versions if name != manifest.default_version]
        found += [f"{manifest.name}{name}:all" for name in ("", *others)]
    return ",".join(found)
