"""`lab bench`: how quick a fork is on this machine, beside a cold boot and beside virtme-ng."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from lab.bench import host, report, virtme
from lab.bench.measure import Bench
from lab.bench.report import Findings
from lab.bench.virtme import Virtme, VirtmeGuest
from lab.cli.context import Wanted, cell_options, notice
from lab.drivers.manifest import default_driver
from lab.errors import HostError
from lab.machines.spec import MachineSpec
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from lab.settings import Settings

_MAX_REPEAT = 1000
_STDOUT = Path("-")


@click.command("bench")
@cell_options
@click.option(
    "--repeat", type=click.IntRange(1, _MAX_REPEAT), default=10, show_default=True, help="How often each is measured."
)
@click.option(
    "--virtme", "with_virtme", is_flag=True, help="Also virtme-ng on the same kernel, one with 9p (6.12-full)."
)
@click.option(
    "--json",
    "output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write it all there, every sample; - prints that instead of the table.",
)
@click.pass_obj
def bench(settings: Settings, wanted: Wanted, repeat: int, with_virtme: bool, output: Path | None) -> None:
    """Measure a fork to its first command's exit code, the driver loaded and its consumer running, a cold boot to the
    same point, the saving of a template, and a fork's memory, in turns. Says so when the machine is busy."""
    cell = replace(wanted, driver=wanted.driver or settings.driver or default_driver()).cell(settings)
    rival = virtme.find(cell.arch) if with_virtme else None
    if output is not None:
        _write(output, "")  # now, not when all has been measured
    found = _measure(Lab(settings, notice), cell, repeat, rival)
    if output is not None:
        _write(output, report.as_json(found) + "\n")
    if output != _STDOUT:
        report.show(found)


def _measure(lab: Lab, cell: Cell, repeat: int, rival: Virtme | None) -> Findings:
    prepared = lab.prepare(cell)
    spec = lab.spec(prepared)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with lab.store.scratch("bench") as scratch:
        guest = VirtmeGuest(rival, prepared, spec, scratch / "virtme") if rival else None
        measuring = Bench(lab, prepared, scratch, guest, notice)
        load = measuring.run(repeat)
    versions = {"lab": version("kernel-lab"), **prepared.versions()}
    return Findings(
        cell={"kernel": cell.kernel, "arch": cell.arch.name, "driver": cell.driver},
        guest=_guest(spec),
        versions={**versions, "virtme-ng": rival.version if rival else None},
        repeat=repeat,
        started=started,
        host=host.facts(),
        load=load,
        samples=measuring.samples.taken,
        failed=measuring.samples.failed,
    )


def _guest(spec: MachineSpec) -> dict[str, Any]:
    return {"acceleration": str(spec.acceleration.kind), "cpus": spec.cpus, "memory_mib": spec.memory_mib}


def _write(output: Path, text: str) -> None:
    if output == _STDOUT:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise HostError(f"{output} cannot be written: {error.strerror}", hint="name another file") from error
