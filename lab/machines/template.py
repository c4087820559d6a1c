"""Templates: a machine saved when it was ready, as two files, its memory and the state of everything else.

The memory's file is the template's own machine's memory while that runs (shared), and is then only read: a fork maps it
and keeps what it writes to itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import sparse
from lab.errors import LabError, MachineLostError, NoSpaceError
from lab.images.cpio import CpioFile
from lab.machines.accel import Accel
from lab.machines.machine import Machine
from lab.machines.qemu import Qemu
from lab.machines.spec import MachineSpec, MemoryFile, qemu_arguments
from lab.store import file_digest, translate_disk_errors

KIND = "template"
LAYOUT = 2
_MEMORY, _STATE, _CONSOLE = "memory", "state", "console.log"
_SAVE_DEADLINE = 60.0  # of the clock: it is the host's disk that takes the time
_SPARE_MIB = 64
_STATE_MIB = 8  # more than any machine's state takes
_MAKE_ROOM = "lab gc lists what can go; or set LAB_STORE to another disk"
_BOOT = "--vm boot does without"
_CPU_LINES = re.compile(r"^(vendor_id|cpu family|model|model name|stepping|microcode|flags|CPU [a-z]+)\s*: .*$", re.M)


class TemplateError(LabError):
    """A template cannot be saved or restored, through no fault of its guest's."""


@dataclass(frozen=True)
class Template:
    """A saved machine's files. `cut`: what its events port sent ended in the middle of a line. `serial` tells it from
    others made from the same. `clock` is how far its clock was ahead of its time since boot, in nanoseconds, where its
    driver's consumer goes by that."""

    key: str
    folder: Path
    cut: bool
    serial: str = ""
    clock: int | None = None

    @property
    def state(self) -> Path:
        return self.folder / _STATE

    @property
    def console(self) -> Path:
        """What was on the console until the machine was saved, each line with the host's time."""
        return self.folder / _CONSOLE

    def spec(self, spec: MachineSpec) -> MachineSpec:
        """The specification of a fork, from that of a machine which boots."""
        return dataclasses.replace(spec, memory=MemoryFile(self.folder / _MEMORY, written=False), incoming=True)


def savable(spec: MachineSpec, folder: Path) -> MachineSpec:
    """The specification of a machine that shall be saved into `folder`; NoSpaceError when its memory has no room there.

    The room is taken now: a disk that gets full while the guest runs would end its QEMU (SIGBUS).
    """
    free = _free_mib(folder)
    if free < spec.memory_mib + _SPARE_MIB:
        raise NoSpaceError(
            f"{free} MiB are free at {folder}, and a machine's memory of {spec.memory_mib} MiB is to be kept there",
            hint=_MAKE_ROOM,
        )
    with translate_disk_errors(folder):
        sparse.reserve(folder / _MEMORY, spec.memory_mib << 20)
    return dataclasses.replace(spec, memory=MemoryFile(folder / _MEMORY, written=True))


def inputs(spec: MachineSpec, qemu: Qemu, payload: Mapping[str, CpioFile], **more: Any) -> dict[str, Any]:
    """Everything that a saved machine depends on; `more` is what its user did in it."""
    shape = dataclasses.replace(
        spec, kernel=Path("kernel"), initrd=Path("initrd"), root=Path("root"), memory=MemoryFile(Path("memory"), True)
    )
    kvm = spec.acceleration.kind is Accel.KVM
    return {
        "qemu": [qemu.key, qemu.version],
        "arguments": qemu_arguments(shape, {name: Path(name) for name in spec.endpoints}),
        "kernel": file_digest(spec.kernel),
        "initrd": file_digest(spec.initrd),
        "payload": {name: [hashlib.sha256(file.data).hexdigest(), file.mode] for name, file in payload.items()},
        # Its CPU is the host's own: what the guest's kernel chose for one host's may be missing on another.
        "host": host_cpu(Path("/proc/cpuinfo").read_text()) if kvm else "",
        "layout": LAYOUT,
        **more,
    }


def host_cpu(cpuinfo: str) -> str:
    """The first CPU of /proc/cpuinfo by what makes one model another."""
    first = cpuinfo.partition("\n\n")[0]
    return "\n".join(match.group(0) for match in _CPU_LINES.finditer(first))


def save(machine: Machine, folder: Path) -> bool:
    """Save a machine that was started with `savable(spec, folder)`, and end it; returns whether a line was cut.

    TemplateError when QEMU cannot, NoSpaceError when the disk is full.
    """
    monitor = machine.monitor
    try:
        monitor.execute("stop")
        # Before the state is written: on a disk that got full since, this is the room for it.
        sparse.release(folder / _MEMORY)
        monitor.save(folder / _STATE, _SAVE_DEADLINE)
        monitor.execute("quit")
    except MachineLostError as error:
        # QEMU says "Input/output error".
        if _free_mib(folder) < _STATE_MIB:
            raise NoSpaceError(f"no space left at {folder} to save a machine", hint=_MAKE_ROOM) from error
        raise TemplateError(f"the machine could not be saved: {error.what}", hint=_BOOT) from error
    # What QEMU had not sent by then is in the state and comes from the fork.
    if not machine.events.finish(_SAVE_DEADLINE):
        raise TemplateError("QEMU did not end when its machine had been saved", hint=_BOOT)
    machine.console.finish(_SAVE_DEADLINE)
    shutil.copy(machine.console.file, folder / _CONSOLE)
    for path in folder.iterdir():
        path.chmod(0o444)
    return machine.events.within_line()


def _free_mib(folder: Path) -> int:
    return shutil.disk_usage(folder).free >> 20
