"""A machine whose run QEMU records, or replays instruction by instruction: its command line, and the process.

It has no agent, no network and no random device, and one CPU: nothing reaches its guest from outside, and what that
tells it writes to its console.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from lab.arches import Arch
from lab.errors import MachineLostError
from lab.machines.monitor import Monitor
from lab.machines.qemu import Qemu
from lab.machines.record import Folder
from lab.machines.sockets import short_name
from lab.machines.spec import MachineSpec, kernel_cmdline
from lab.process import spawn

START = "start"  # the snapshot that QEMU makes before the first instruction
_SHIFT = 3  # an instruction is 8 ns: a fixed number, because a snapshot does not keep what "auto" has come to
_END_DEADLINE = 30.0
_POLL = 0.1
# With these devices QEMU 10.0 cannot go on from a snapshot of a replay: with amd64's HPET the log then waits for a
# timer that never comes, and with its VAPIC the loading itself hangs.
_WITHOUT = {"amd64": ("hpet=off", ("-global", "apic-common.vapic=off"))}


class Mode(StrEnum):
    """What QEMU does with the log."""

    RECORD = "record"
    REPLAY = "replay"


@dataclass(frozen=True)
class Files:
    """Where a recording lies: a folder of its own."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "replay.log"

    @property
    def snapshots(self) -> Path:
        """A disk that no device has."""
        return self.folder / "snapshots.qcow2"

    def console(self, mode: Mode) -> Path:
        return self.folder / f"console-{mode}.log"


def rewound_arguments(spec: MachineSpec, files: Files, mode: Mode, monitor: int | Path) -> list[str]:
    """QEMU's arguments, without the program; `monitor` as the sockets of `qemu_arguments`."""
    machine, more = _WITHOUT.get(spec.arch.name, ("", ()))
    where = f"fd={monitor}" if isinstance(monitor, int) else f"path={_escaped(monitor)}"
    root = f"driver=raw,node-name=root,read-only=on,file.driver=file,file.filename={_escaped(spec.root)}"
    return [
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", ",".join(word for word in (spec.arch.qemu_machine, machine) if word), *more),
        *("-accel", "tcg,thread=single", "-smp", "1", "-m", f"{spec.memory_mib}M"),
        *("-cpu", ",".join(word for word in (spec.arch.tcg_cpu, spec.cpu_features) if word)),
        *("-icount", f"shift={_SHIFT},rr={mode},rrfile={_escaped(files.log)},rrsnapshot={START}"),
        # The host's clock is read when a snapshot is loaded, and would be looked for in the log.
        *("-rtc", "base=2026-01-01T00:00:00,clock=vm"),
        *("-kernel", str(spec.kernel), "-initrd", str(spec.initrd), "-append", kernel_cmdline(spec)),
        # blkreplay finishes each request at the instruction at which it did when it was recorded.
        *("-blockdev", root, "-blockdev", "driver=blkreplay,node-name=root-replay,image=root,read-only=on"),
        *("-device", "virtio-blk-pci,drive=root-replay"),
        *("-drive", f"file={_escaped(files.snapshots)},format=qcow2,if=none,id=snapshots"),
        *("-chardev", f"file,id=console,path={_escaped(files.console(mode))}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,{where},server=on,wait=off", "-mon", "chardev=monitor,mode=control"),
        *("-action", "reboot=shutdown,shutdown=pause", "-S"),
    ]


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


class Rewound:
    """A QEMU that records or replays, the guest standing still at first; it ends with its `with`."""

    def __init__(self, spec: MachineSpec, qemu: Qemu, folder: Folder, mode: Mode, purpose: str) -> None:
        """Start it. MachineLostError, with QEMU's words, when it does not."""
        self.folder = folder
        self.files = Files(folder.path)
        self.arch: Arch = spec.arch
        self._ended = threading.Event()
        self._log = folder.path / f"qemu-{mode}.log"
        path = folder.path / f"monitor-{mode}.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            with short_name(path) as short:
                listening.bind(short)
            listening.listen(1)
            arguments = rewound_arguments(spec, self.files, mode, listening.fileno())
            self._process = spawn(
                [*qemu.command, *arguments],
                log=self._log,
                pass_fds=(listening.fileno(),),
                env=dict(qemu.environment),
            )
        folder.write(self._process.pid, purpose)
        try:
            self.monitor = Monitor(path, lambda _: self._ended.set())
        except (OSError, MachineLostError) as error:
            self.end()
            said = self._log.read_text(errors="replace").strip()[-500:]
            raise MachineLostError(f"QEMU did not start: {said or 'it said nothing'}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def alive(self) -> bool:
        """Whether QEMU runs."""
        return self._process.poll() is None

    def instructions(self) -> int:
        """How many the guest has executed since its start."""
        return int(self.monitor.execute("query-replay")["icount"])

    def go(self) -> None:
        """Let the guest run."""
        self._ended.clear()
        self.monitor.execute("cont")

    def wait_stopped(self, seconds: float, look: Callable[[], None] = lambda: None) -> bool:
        """Wait until the guest stands still, `look`ing meanwhile; False after so many seconds of the clock."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            look()
            if not self.monitor.execute("query-status")["running"]:
                return True
            self._ended.wait(_POLL)
        return False

    def human(self, line: str) -> str:
        """A command of QEMU's monitor for people; returns what it said."""
        return str(self.monitor.execute("human-monitor-command", {"command-line": line})).strip()

    def quit(self) -> None:
        """End QEMU in good order: the log is complete only then."""
        with contextlib.suppress(MachineLostError):
            self.monitor.execute("quit")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_DEADLINE)
        self.end()

    def end(self) -> None:
        """End QEMU; safe to call twice."""
        if "monitor" in vars(self):
            self.monitor.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_DEADLINE)
