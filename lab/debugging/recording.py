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

from lab.debugging.session import ANCHOR, Told, module_name
from lab.debugging.symbols import Symbol, Symbols, parse_sections
from lab.drivers.build import DriverBuild
from lab.drivers.deploy import filled
from lab.errors import LabError, LoadError, MachineLostError, NoSpaceError
from lab.images.cpio import CpioFile, cpio_archive
from lab.machines.qcow2 import make_disk
from lab.machines.qemu import Qemu
from lab.machines.record import Folder
from lab.machines.rewound import Files, Mode, Rewound
from lab.machines.spec import MachineSpec

RECORD_DEADLINE = 900.0  # of the clock: a guest that is recorded is slower
_DISK = 1 << 20
_NEEDED_MIB = 1024
_BEGUN, _ENDED, _FAILED = b"lab: command\r\n", b"lab: status ", b"lab: not loaded: "
_TOLD_ANCHOR = re.compile(rb"^lab: anchor ([0-9a-f]{16})\r?$", re.MULTILINE)
_TOLD_NOTES = re.compile(rb"^lab: notes ((?:[0-9a-f]{2}){1,256})\r?$", re.MULTILINE)
_TOLD_SECTION = re.compile(rb"^lab: section (\S{1,300})\r?$", re.MULTILINE)
_TOLD_SYMBOL = re.compile(rb"^lab: symbol ([0-9a-f]{16}) ([tT]) ([\w.$]{1,300})\r?$", re.MULTILINE)
_UPPER_HALF = 1 << 63
# QEMU's log has its own end before the instructions since the last event, and a replay that comes by that end stops
# there: so many are left out. A guest that ended by itself has just printed why; one that was stopped may have run for
# as long as its timer lets it.
_LEFT_OUT, _LEFT_OUT_STOPPED = 20_000, 1_000_000
_TAIL_LINES = 15
# What an oops and a panic come through in every kernel; the last that was called is come to first, going back.
_CRASH = ("oops_enter", "panic")
_CRASHES = re.compile(rb"\] (?:Internal error: |Oops[: ]|BUG: |Kernel panic - not syncing)")
# Run in place of the lab's agent. What gdb has to know of this very boot is little enough for the console.
_SCRIPT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root
exec </dev/null >/dev/console 2>&1
cd /root
demand() {{ "$@" || {{ echo "lab: not loaded: $*"; busybox reboot -f; }}; }}
{load}
echo "lab: anchor $(sed -n 's/ . {anchor}$//p' /proc/kallsyms)"
(cd /sys/module/{module}/sections && grep -H . .[!.]* * | sed "s|^|lab: section $PWD/|") 2>/dev/null
sed -n 's/^\\([0-9a-f]* [tT] .*\\)[[:space:]]\\[{module}\\]$/lab: symbol \\1/p' /proc/kallsyms
echo "lab: notes $(od -An -v -tx1 /sys/module/{module}/notes/.note.gnu.build-id 2>/dev/null | tr -d ' \n')"
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
    """A recorded run: `begun` and `ended` are instructions since its start, at the command's beginning and end, about.

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
    """What is to be recorded: the machine as it would be booted, its driver, and the command.

    `symbols` and `notes` are those of its kernel in any other boot.
    """

    spec: MachineSpec
    qemu: Qemu
    payload: Mapping[str, CpioFile]
    driver: DriverBuild | None
    command: tuple[str, ...]
    run_dir: Path
    symbols: Symbols
    notes: bytes


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
        make_disk(files.snapshots, _DISK)
        spec = dataclasses.replace(run.spec, initrd=_initrd(run, folder.path), cpus=1)
        with Rewound(spec, run.qemu, folder, Mode.RECORD, "lab debug --rr, recording") as machine:
            watch = _Watch(machine, files.console(Mode.RECORD))
            machine.go()
            # Ctrl-C ends a command that has no end.
            left_out = _LEFT_OUT_STOPPED
            with contextlib.suppress(KeyboardInterrupt):
                if machine.wait_stopped(RECORD_DEADLINE, watch.look):
                    left_out = _LEFT_OUT
                else:
                    notice(f"the command did not end within {RECORD_DEADLINE:.0f} s: the recording ends there")
            machine.monitor.execute("stop")
            watch.look()
            ended = machine.instructions() - left_out
            machine.quit()
        watch.demand_begun()
        told = read_told(watch.printed, run.symbols, run.notes, _module_of(run.driver))
        crashed = _CRASHES.search(watch.printed) is not None
        yield Recording(files, folder, spec, run.qemu, told, min(watch.begun, ended), ended, crashed)
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


def read_told(printed: bytes, symbols: Symbols, notes: bytes, module: str = "") -> Told:
    """What the guest said on its console of where things are; LabError when it did not.

    The kernel's `symbols`, which another boot told, are moved there. Of modules, which each boot puts elsewhere, there
    are only the driver's functions, which it said itself; their module is called `module`.
    """
    printed = printed.partition(_BEGUN)[0]  # what the command prints is its own
    anchor = _TOLD_ANCHOR.search(printed)
    if anchor is None:
        raise LabError("the guest that was recorded did not tell where its kernel is")
    offset = int(anchor[1], 16) - symbols.address(ANCHOR)
    moved = [
        # Below are the numbers that stand for places in each CPU's own data.
        dataclasses.replace(symbol, address=symbol.address + offset) if symbol.address >= _UPPER_HALF else symbol
        for symbol in symbols.all()
        if not symbol.module
    ]
    own = [
        Symbol(int(address, 16), name.decode(), module, kind.decode())
        for address, kind, name in _TOLD_SYMBOL.findall(printed)
    ]
    found = _TOLD_NOTES.search(printed)
    sections = parse_sections(b"\n".join(_TOLD_SECTION.findall(printed)))
    module_notes = bytes.fromhex(found[1].decode()) if found else b""
    return Told(Symbols([*moved, *own]), notes, module_notes, next(iter(sections.values()), {}))


def guest_script(build: DriverBuild | None, command: Sequence[str]) -> str:
    """What the guest runs: the driver's loading, what is told, the command, and the end."""
    lines = []
    if build is not None:
        mode = build.driver.mode
        lines = [f"demand {shlex.join(filled(build, words))}" for words in (*mode.load, *mode.check)]
        if not build.driver.mute:
            lines.append(_CONSUMER.format(command=shlex.join(filled(build, build.driver.consumer.command))))
    module = _module_of(build) or "none"
    return _SCRIPT.format(load="\n".join(lines), module=module, anchor=ANCHOR, command=shlex.join(command))


def _module_of(build: DriverBuild | None) -> str:
    return module_name(build.module) if build and build.module else ""


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
