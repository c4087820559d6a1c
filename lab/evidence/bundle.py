"""Bundles: the evidence of a failure in one folder, from which it can be understood and run again."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.debugging.evidence import collect
from lab.drivers.event import Event
from lab.errors import LabError
from lab.machines.machine import Machine

_MAX_LOG = 16 << 20


@dataclass(frozen=True)
class Failure:
    """What is known of a failure without its machine."""

    name: str
    verdict: str
    message: str
    rerun: str
    versions: dict[str, Any]
    captures: Sequence[Sequence[Event]]
    log: Path | None


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
    if machine is not None:
        _machine_evidence(place, machine)
    (place / "README").write_text(_readme(place, failure))
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


def _machine_evidence(place: Path, machine: Machine) -> None:
    for name in ("console.log", "console.raw", "qemu.log", "template-console.log"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(machine.folder.path / name, place)
    (place / "qemu-command").write_text(machine.command_line() + "\n")
    (place / "kernel.log").write_bytes(_kernel_log(machine))
    (place / "registers.txt").write_text(_registers(machine))
    collect(place, machine)


def _kernel_log(machine: Machine) -> bytes:
    """The guest's own log when it can still tell it, else a line that says where to look."""
    if machine.alive():
        with contextlib.suppress(LabError):
            return machine.run(["dmesg", "--raw"], check=False).stdout[:_MAX_LOG]
    return b"The guest no longer answers: its kernel's last words are in console.log.\n"


def _registers(machine: Machine) -> str:
    if machine.answers_monitor():
        with contextlib.suppress(LabError):
            return machine.registers()
    return "QEMU no longer runs.\n"


def _readme(place: Path, failure: Failure) -> str:
    contents = ", ".join(sorted(path.name for path in place.iterdir()))
    first = failure.message.strip().splitlines()[:1]
    return (
        f"{failure.name}\nVerdict: {failure.verdict}. {first[0] if first else ''}\n\n"
        f"Run it again:\n  {failure.rerun}\n\n"
        f"Here: {contents}\n"
        "console.log has the host's time (UTC) before each line; console.raw is what the guest sent.\n"
    )
