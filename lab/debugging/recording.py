"""A boot of a guest, with its driver loaded and a command run in it, recorded instruction by instruction."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.debugging.session import Told, module_name
from lab.debugging.symbols import Symbols, parse_kallsyms, parse_sections
from lab.drivers.build import DriverBuild
from lab.drivers.deploy import filled
from lab.errors import LabError, LoadError, MachineLostError, NoSpaceError
from lab.images.cpio import CpioFile, cpio_archive
from lab.machines.qcow2 import make_disk, read_disk
from lab.machines.qemu import Qemu
from lab.machines.record import Folder
from lab.machines.rewound import Files, Mode, Rewound
from lab.machines.spec import MachineSpec

RECORD_DEADLINE = 900.0  # of the clock: a guest that is recorded is half as quick
_DISK = 64 << 20
_NEEDED_MIB = 1024
_BEGUN, _ENDED, _FAILED = b"lab: command\r\n", b"lab: status ", b"lab: not loaded: "
_PART = re.compile(rb"lab: ([a-z-]{1,32}) (\d{1,9})\n")
_TAIL_LINES = 15
# What an oops and a panic come through in every kernel; the last that was called is come to first, going back.
_CRASH = ("oops_enter", "panic")
_CRASHES = re.compile(rb"\] (?:Internal error: |Oops[: ]|BUG: |Kernel panic - not syncing)")
# Run in place of the lab's agent. $part: what gdb has to know of this very boot goes to the second disk.
_SCRIPT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root
exec </dev/null >/dev/console 2>&1
cd /root
demand() {{ "$@" || {{ echo "lab: not loaded: $*"; busybox reboot -f; }}; }}
part() {{ echo "lab: $1 $(wc -c <"$2")"; cat "$2"; }}
{load}
dd if=/proc/kallsyms of=/run/symbols bs=1M status=none
cat /sys/kernel/notes >/run/notes
cat /sys/module/{module}/notes/.note.gnu.build-id >/run/module-notes 2>/dev/null
(cd /sys/module/{module}/sections && grep -H . .[!.]* * | sed "s|^|$PWD/|") >/run/sections 2>/dev/null
for name in symbols notes module-notes sections; do part $name /run/$name; done >/run/told
part end /dev/null >>/run/told
dd if=/run/told of=/dev/vdb bs=1M conv=fsync status=none
rm /run/told /run/symbols
echo "lab: command"
{command}
echo "lab: status $?"
busybox reboot -f
"""
# It is started, and its events thrown away, when there is one that has to run for the driver to do anything.
_CONSUMER = """
env --default-signal=INT {command} >/run/lab/events 2>/run/lab/consumer.said &
for try in $(seq 100); do
	[ -s /run/lab/events ] && break
	/run/lab/bin/lab-sentinel /lab-first >/dev/null
	sleep 0.1
done
"""


@dataclass(frozen=True)
class Recording:
    """A recorded run: `begun` and `ended` are instructions since its start, at about the command's and at the end.

    `crashed`: the kernel did. `spec` and `qemu` are what replays it.
    """

    files: Files
    folder: Folder
    spec: MachineSpec
    qemu: Qemu
    told: Told
    begun: int
    ended: int
    crashed: bool

    def crash_functions(self) -> tuple[str, ...]:
        """The functions that a crash comes through, those that this kernel has once."""
        return tuple(name for name in _CRASH if _once(self.told.symbols, name))


@dataclass(frozen=True)
class Recordable:
    """What is to be recorded: the machine as it would be booted, its driver, and the command."""

    spec: MachineSpec
    qemu: Qemu
    payload: Mapping[str, CpioFile]
    driver: DriverBuild | None
    command: tuple[str, ...]
    run_dir: Path


@contextlib.contextmanager
def recorded(run: Recordable, notice: Callable[[str], None]) -> Iterator[Recording]:
    """Record a boot in which the driver is loaded and then the command run, until that ends or the kernel crashes.

    What is recorded lies in a folder of its own until the block's end.
    LoadError when the driver does not load, MachineLostError when the guest does not come as far as the command,
    NoSpaceError when the disk has no room.
    """
    folder = Folder(run.run_dir)
    try:
        _demand_room(folder.path)
        files = Files(folder.path)
        make_disk(files.disk, _DISK)
        spec = dataclasses.replace(run.spec, initrd=_initrd(run, folder.path), cpus=1)
        with Rewound(spec, run.qemu, folder, Mode.RECORD, "lab debug --rr, recording") as machine:
            watch = _Watch(machine, files.console(Mode.RECORD))
            machine.go()
            # Ctrl-C ends a command that has no end.
            with contextlib.suppress(KeyboardInterrupt):
                if not machine.wait_stopped(RECORD_DEADLINE, watch.look):
                    notice(f"the command did not end within {RECORD_DEADLINE:.0f} s: the recording ends there")
            machine.monitor.execute("stop")
            watch.look()
            ended = machine.instructions()
            machine.quit()
        watch.demand_begun()
        told = read_told(read_disk(files.disk, _DISK))
        crashed = _CRASHES.search(watch.printed) is not None
        yield Recording(files, folder, spec, run.qemu, told, watch.begun or ended, ended, crashed)
    finally:
        folder.remove()


class _Watch:
    """What the guest prints: shown from the command's beginning on; when that was, in instructions."""

    def __init__(self, machine: Rewound, console: Path) -> None:
        self._machine = machine
        self._console = console
        self._shown = 0
        self.printed = b""
        self.begun = 0

    def look(self) -> None:
        """Look whether more was printed."""
        if not self._console.is_file():
            return
        self.printed = self._console.read_bytes()
        place = self.printed.find(_BEGUN)
        if place < 0:
            return
        self.begun = self.begun or self._machine.instructions()
        start = max(self._shown, place + len(_BEGUN))
        sys.stderr.write(self.printed[start:].replace(b"\r", b"").decode(errors="replace"))
        sys.stderr.flush()
        self._shown = len(self.printed)

    def demand_begun(self) -> None:
        """Raise unless the guest came as far as the command."""
        if self.begun:
            return
        text = self.printed.decode(errors="replace")
        if _FAILED in self.printed:
            line = text.partition(_FAILED.decode())[2].splitlines()[0]
            raise LoadError(f"the driver does not load where it is recorded: {line.strip()} failed")
        tail = "\n".join(f"  {line.rstrip()}" for line in text.splitlines()[-_TAIL_LINES:])
        what = "the guest that was recorded did not come as far as the command"
        raise MachineLostError(f"{what}\nLast on its console:\n{tail}")


def read_told(data: bytes) -> Told:
    """What the guest wrote to its disk before the command; LabError when it is not complete."""
    parts: dict[str, bytes] = {}
    at = 0
    while "end" not in parts:
        match = _PART.match(data, at)
        if match is None or match.end() + int(match[2]) > len(data):
            raise LabError("the guest that was recorded did not tell where its kernel is")
        at = match.end() + int(match[2])
        parts[match[1].decode()] = data[match.end() : at]
    sections = parse_sections(parts.get("sections", b""))
    return Told(
        parse_kallsyms(parts.get("symbols", b"")),
        parts.get("notes", b""),
        parts.get("module-notes", b""),
        next(iter(sections.values()), {}),
    )


def guest_script(build: DriverBuild | None, command: Sequence[str]) -> str:
    """What the guest runs: the driver's loading, what is told, the command, and the end."""
    lines = []
    module = "none"
    if build is not None:
        mode = build.driver.mode
        lines = [f"demand {shlex.join(filled(build, words))}" for words in (*mode.load, *mode.check)]
        if not build.driver.mute:
            lines.append(_CONSUMER.format(command=shlex.join(filled(build, build.driver.consumer.command))))
        module = module_name(build.module) if build.module else module
    return _SCRIPT.format(load="\n".join(lines), module=module, command=shlex.join(command))


def _initrd(run: Recordable, folder: Path) -> Path:
    """The kernel's initrd, and behind it the payload with the script where the agent would be."""
    base = run.spec.initrd.read_bytes()
    script = CpioFile(guest_script(run.driver, run.command).encode(), 0o755)
    payload = cpio_archive({f"lab/{name}": file for name, file in {**run.payload, "bin/lab-agent": script}.items()})
    path = folder / "initrd"
    path.write_bytes(base + bytes(-len(base) % 4) + payload)
    return path


def _demand_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free >> 20
    if free < _NEEDED_MIB:
        raise NoSpaceError(
            f"{free} MiB are free at {folder.parent}, and a recording with its snapshots takes up to {_NEEDED_MIB}",
            hint="set LAB_RUN_DIR to another disk",
        )


def _once(symbols: Symbols, name: str) -> bool:
    return len({symbol.address for symbol in symbols.named(name, "")}) == 1
