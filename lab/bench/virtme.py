"""virtme-ng (`vng`), the tool that guests are compared with: it boots a kernel on the host's own root, shared by 9p."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import arches
from lab.arches import Arch
from lab.errors import HostError, LabError, RequestError
from lab.kernels.kernel import Kernel
from lab.machines.accel import Accel
from lab.machines.spec import MachineSpec
from lab.matrix.provision import Prepared
from lab.process import Completed, run, tied, which

INSTALL = "tools/setup bench"
_DEADLINE = 300.0
_TRIES = 3
_SAID = 300
# What it runs on the host (to find a kernel's modules) and in its guest (where the host's root is the guest's).
_PROGRAMS = {"modprobe": "kmod", "depmod": "kmod", "file": "file"}
_UDEVD = (Path("/usr/lib/systemd/systemd-udevd"), Path("/lib/systemd/systemd-udevd"))
_OPTIONS = ("9P_FS", "NET_9P_VIRTIO", "VIRTIO_CONSOLE")
# With a folder's name: without one QEMU would be looked for in PATH.
_QEMU, _BUSYBOX = "./qemu", "./busybox"
# What depmod reads beside the modules; the rest it makes.
_ABOUT_MODULES = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


@dataclass(frozen=True)
class Virtme:
    """An installed virtme-ng."""

    program: Path
    version: str


def find(arch: Arch) -> Virtme:
    """The virtme-ng of this Python's environment, else of PATH, for guests of `arch`.

    HostError when it, or what it needs, is not there; RequestError when it has no such guests.
    """
    if arch is not arches.host():
        raise RequestError(
            f"virtme-ng's guests share the host's root, so that they are {arches.host().name} here, not {arch.name}",
            hint="leave --virtme away",
        )
    beside = Path(sys.executable).with_name("vng")
    found = str(beside) if beside.exists() else shutil.which("vng")
    if found is None:
        raise HostError("virtme-ng (vng) is not installed", hint=INSTALL)
    for program, package in _PROGRAMS.items():
        try:
            which(program, package=package)
        except HostError as error:
            raise HostError(f"virtme-ng needs {program}, which is not installed", hint=INSTALL) from error
    if not any(path.exists() for path in _UDEVD):
        raise HostError("virtme-ng's guests need the host's udev, which is not installed", hint=INSTALL)
    number = re.search(r"\d+(\.\d+)+", run([found, "--version"], deadline=60).text)
    return Virtme(Path(found), number[0] if number else "unknown")


def demand_comparable(kernel: Kernel) -> None:
    """RequestError when that kernel, as far as its configuration is known, cannot run in its guests."""
    lacking = [name for name in _OPTIONS if kernel.option(name) not in ("y", "m")]
    if kernel.config is not None and lacking:
        raise RequestError(
            f"{kernel.release} has no {', '.join(lacking)}, and virtme-ng's guests need it",
            hint=f"--kernel {kernel.series}-full",
        )


class VirtmeGuest:
    """Guests of virtme-ng's with the lab's own kernel, QEMU, CPU, number of CPUs and memory; all else is as it comes.

    What it needs is laid out in `folder`: nothing is written to the host's /lib/modules, the store's kernel or the home
    of the user, whose settings of it are not read either. RequestError for a kernel that cannot run in its guests.
    """

    def __init__(self, virtme: Virtme, prepared: Prepared, spec: MachineSpec, folder: Path) -> None:
        demand_comparable(prepared.kernel)
        self.virtme = virtme
        self.command = command(virtme, spec, prepared.kernel.release)
        self._folder = folder
        _lay_out(folder, prepared)

    def run(self, argv: Sequence[str], failed: Callable[[str], None]) -> float:
        """How long a new guest with that command takes, in seconds, from vng's start to its end.

        One that fails is told to `failed` and run again; LabError when three in a row do.
        """
        said = ""
        for _ in range(_TRIES):
            start = time.monotonic()
            done = self._run(argv)
            seconds = time.monotonic() - start
            if done.status == 0:
                return seconds
            said = f"status {done.status} after {seconds:.1f} s: {_last_words(done)}"
            failed(said)
        raise LabError(f"virtme-ng could not run {shlex.join(argv)} in a guest {_TRIES} times: {said}")

    def _run(self, argv: Sequence[str]) -> Completed:
        # Only the first of its processes is a child of ours: when we are killed, timeout(1) is told, and ends them all.
        words = tied(["timeout", "--signal=KILL", f"{_DEADLINE:g}", *self.command, "--", *argv], signal="TERM")
        # It starts another program of its own by name, and looks for kmod's.
        path = os.pathsep.join([str(self.virtme.program.parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        env = {"PATH": path, "HOME": str(self._folder)}
        return run(words, deadline=2 * _DEADLINE, check=False, env=env, cwd=self._folder)


def command(virtme: Virtme, spec: MachineSpec, release: str) -> list[str]:
    """vng's words before the command's, to be run where it was laid out; paths are relative, because it gives them to a
    shell as they are."""
    kvm = spec.acceleration.kind is Accel.KVM
    # Its own choice has a QEMU's fault in it that ends some boots (docs/decisions.md).
    emulated = () if kvm else ("--disable-kvm", f"--qemu-opts=-cpu {spec.arch.tcg_cpu}")
    return [
        str(virtme.program),
        *emulated,
        *("--qemu", _QEMU, "--busybox", _BUSYBOX),
        *("--cpus", str(spec.cpus), "--memory", f"{spec.memory_mib}M"),
        *("--run", f"boot/vmlinuz-{release}"),
    ]


def _lay_out(folder: Path, prepared: Prepared) -> None:
    """Make the folder look like a system with that kernel installed, and put QEMU there as a program."""
    kernel, qemu = prepared.kernel, prepared.qemu
    (folder / "boot").mkdir(parents=True)
    (folder / "boot" / f"vmlinuz-{kernel.release}").symlink_to(kernel.image)
    (folder / _BUSYBOX).symlink_to(prepared.image.busybox)
    environment = [f"{name}={value}" for name, value in qemu.environment]
    (folder / _QEMU).write_text(f'#!/bin/sh\nexec {shlex.join(["env", *environment, *qemu.command])} "$@"\n')
    (folder / _QEMU).chmod(0o755)
    if kernel.modules is None:
        return
    # kmod looks in one or the other, by its version.
    modules = folder / "usr/lib/modules" / kernel.release
    modules.mkdir(parents=True)
    (folder / "lib").symlink_to("usr/lib")
    for path in kernel.modules.iterdir():
        if path.name in _ABOUT_MODULES or (path.is_dir() and path.name not in ("build", "source")):
            (modules / path.name).symlink_to(path)
    # Else vng does it, in its first run.
    run([which("depmod", package="kmod"), "-a", "-b", folder, kernel.release], deadline=_DEADLINE)


def _last_words(done: Completed) -> str:
    lines = (done.stdout + done.stderr).decode(errors="replace").split()
    return " ".join(lines)[-_SAID:] or "it said nothing"
