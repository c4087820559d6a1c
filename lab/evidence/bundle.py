"""Bundles: the evidence of a failure in one folder, from which it can be understood and run again."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.debugging.evidence import collect
from lab.drivers.event import Event
from lab.errors import LabError
from lab.evidence.asking import SHORT, Asking
from lab.evidence.repro import write_repro
from lab.evidence.splats import Splat
from lab.evidence.state import complaints, write_splats, write_state
from lab.evidence.symbols import Symbols
from lab.machines.machine import Machine


@dataclass(frozen=True)
class Failure:
    """What is known of a failure without its machine. `repro` is what `lab repro` runs again, `symbols` and `module`
    are the driver's, `kept` is the machine's name when it stays."""

    name: str
    verdict: str
    message: str
    rerun: str
    versions: dict[str, Any]
    captures: Sequence[Sequence[Event]]
    log: Path | None
    repro: Mapping[str, Any] = field(default_factory=dict)
    symbols: Symbols = field(default_factory=lambda: Symbols({}))
    module: str = ""
    kept: str = ""


def write_bundle(folder: Path, failure: Failure, machine: Machine | None) -> Path:
    """Write everything into a new folder below `folder` and return it. Never raises for what a machine does not tell:
    its absence is noted in the bundle."""
    place = _new_folder(folder, failure.name)
    (place / "failure.txt").write_text(f"{failure.verdict}\n\n{failure.message}\n")
    (place / "versions.json").write_text(json.dumps(failure.versions, indent=1, default=str) + "\n")
    (place / "rerun").write_text(failure.rerun + "\n")
    for number, events in enumerate(failure.captures, start=1):
        lines = "".join(event.to_json() + "\n" for event in events)
        (place / f"events-{number}.jsonl").write_text(lines)
    if failure.log is not None and failure.log.is_file():
        shutil.copy(failure.log, place / "build.log")
    if failure.repro:
        write_repro(place, failure.repro)
    splats = _machine_evidence(place, failure, machine) if machine is not None else []
    (place / "README").write_text(_readme(place, failure, splats))
    return place


def _new_folder(folder: Path, name: str) -> Path:
    """A folder of its own for each failure: two files may have a test of one name, and one test may fail twice."""
    slug = re.sub(r"[^A-Za-z0-9.:_+-]+", "_", name.partition("::")[2] or name)[:120]
    for number in itertools.count(1):
        place = folder / (slug if number == 1 else f"{slug}.{number}")
        with contextlib.suppress(FileExistsError):
            place.mkdir(parents=True)
            break
    return place


def _machine_evidence(place: Path, failure: Failure, machine: Machine) -> list[Splat]:
    """What the machine still tells; returns its kernel's complaints."""
    for name in ("console.log", "console.raw", "qemu.log", "template-console.log"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(machine.folder.path / name, place)
    (place / "qemu-command").write_text(machine.command_line() + "\n")
    # First what needs no guest, and of the guest first what matters most: it may fall silent at any question.
    (place / "registers.txt").write_text(_registers(machine))
    collect(place, machine)
    asking = Asking(machine, SHORT) if failure.verdict == "lost" else Asking(machine)
    dmesg = asking.ask(["dmesg", "--raw"])
    silent = f"{asking.why} Its kernel's last words are in console.log.\n".encode()
    (place / "kernel.log").write_bytes(dmesg.stdout if dmesg else silent)
    splats: list[Splat] = []
    with contextlib.suppress(LabError):  # a console that could not be kept
        splats = complaints(asking, machine, failure.symbols)
    write_splats(place, splats)
    write_state(place, asking, failure.module)
    return splats


def _registers(machine: Machine) -> str:
    if machine.answers_monitor():
        with contextlib.suppress(LabError):
            return machine.registers()
    return "QEMU no longer runs.\n"


def _readme(place: Path, failure: Failure, splats: Sequence[Splat]) -> str:
    contents = ", ".join(sorted(path.name for path in place.iterdir()))
    first = failure.message.strip().splitlines()[:1]
    lines = [
        failure.name,
        f"Verdict: {failure.verdict}. {first[0] if first else ''}",
        f"The kernel said: {splats[0].summary() if splats else 'nothing that is known as a complaint'}"
        + (f" ({len(splats) - 1} more in splats.json)" if len(splats) > 1 else ""),
        *(f"  called by {frame}" for splat in splats[:1] for frame in splat.details.trace[:3]),
        *(
            [f"The machine stays: lab exec {failure.kept} -- COMMAND; lab keep stop {failure.kept}"]
            if failure.kept
            else []
        ),
        f"\nRun it again:\n  {failure.rerun}\nor\n  lab repro {place}\n",
        f"Here: {contents}",
        "console.log has the host's time (UTC) before each line; console.raw is what the guest sent.",
    ]
    return "\n".join(lines) + "\n"
