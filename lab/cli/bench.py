"""`lab bench`: how quick a fork is on this machine, beside a cold boot and beside virtme-ng; or what a driver bears."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from lab.bench import flood_report, host, report, virtme
from lab.bench.flood import Flood, Floods
from lab.bench.measure import Bench
from lab.bench.report import Findings
from lab.bench.virtme import Virtme, VirtmeGuest
from lab.cli.context import Wanted, cell_options, notice
from lab.cli.terminal import STDOUT, write
from lab.drivers.manifest import default_driver
from lab.errors import ExitCode
from lab.machines.spec import MachineSpec
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from lab.settings import Settings

_MAX_REPEAT = 1000
_MAX_CALLS = 200_000  # what their events are as text must fit into what the lab takes of a guest


@click.command("bench")
@cell_options
@click.option(
    "--repeat", type=click.IntRange(1, _MAX_REPEAT), default=10, show_default=True, help="How often each is measured."
)
@click.option(
    "--virtme", "with_virtme", is_flag=True, help="Also virtme-ng on the same kernel, one with 9p (6.12-full)."
)
@click.option(
    "--events",
    "calls",
    type=click.IntRange(1, _MAX_CALLS),
    metavar="CALLS",
    help="What the driver bears instead: so many calls as fast as they can be made, and how many were reported.",
)
@click.option(
    "--json",
    "output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write it all there, every sample; - prints that instead of the table.",
)
@click.pass_obj
def bench(
    settings: Settings, wanted: Wanted, repeat: int, with_virtme: bool, calls: int | None, output: Path | None
) -> int:
    """Measure a fork to its first command's exit code, the driver loaded and its consumer running, a cold boot to the
    same point, the saving of a template, and a fork's memory, in turns. Says so when the machine is busy."""
    cell = replace(wanted, driver=wanted.driver or settings.driver or default_driver()).cell(settings)
    if calls is not None:
        return _flood(Lab(settings, notice), cell, calls, repeat, output)
    rival = virtme.find(cell.arch) if with_virtme else None
    if output is not None:
        write(output, "")  # now, not when all has been measured
    found = _measure(Lab(settings, notice), cell, repeat, rival)
    if output is not None:
        write(output, report.as_json(found) + "\n")
    if output != STDOUT:
        report.show(found)
    return ExitCode.OK


def _flood(lab: Lab, cell: Cell, calls: int, repeat: int, output: Path | None) -> int:
    """The status is 1 when something was lost in silence."""
    prepared = lab.prepare(cell)
    versions = {"lab": version("kernel-lab"), **prepared.versions()}
    if output is not None:
        write(output, "")
    floods: list[Flood] = Floods(lab, prepared, calls, notice).run(repeat)
    facts = {"calls": calls, "repeat": repeat, "versions": versions, "guest": _guest(lab.spec(prepared))}
    if output is not None:
        write(output, flood_report.as_json(floods, facts) + "\n")
    if output != STDOUT:
        kernel = prepared.kernel.release
        flood_report.show(floods, f"{cell.slug}: kernel {kernel}, {calls} calls, {repeat} time(s)")
    return ExitCode.CHECK_FAILED if any(flood.silent for flood in floods) else ExitCode.OK


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
