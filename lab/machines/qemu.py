"""The lab's own QEMU: one known version, unpacked from signed packages into the store, the same on every host."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import arches
from lab.arches import Arch
from lab.images.roots import RootWish, get_root
from lab.process import run, which
from lab.settings import Settings
from lab.store import Store, file_digest

_SUITE = "trixie"  # QEMU 10: it neither kills amd64 guests nor hangs restored riscv64 ones (docs/decisions.md)
_VERSION = re.compile(r"version (\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class Qemu:
    """A QEMU that can be started: `command` is the program with what it needs before its arguments."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    version: str
    origin: str
    key: str  # of this very program


def own_qemu(arch: Arch, store: Store, settings: Settings, notice: Callable[[str], None]) -> Qemu:
    """The lab's QEMU for guests of `arch`, fetched when it is not in the store."""
    host = arches.host()
    wish = RootWish(
        kind="qemu",
        name=arch.name,
        suite=_SUITE,
        packages=arch.qemu_packages,
        arch=host,
        inputs={"host": host.name, "layout": 2},
        notice=f"unpacking QEMU for {arch.name} guests",
    )

    def complete(folder: Path) -> dict[str, Any]:
        return {"version": _version(command_in(folder / "root", arch, host))}

    entry = get_root(wish, store, settings, notice, complete)
    root = entry.files / "root"
    modules = (root / host.library_path / "qemu").as_posix()
    return Qemu(
        command=command_in(root, arch, host),
        environment=(("QEMU_MODULE_DIR", modules),),
        version=str(entry.provenance["version"]),
        origin="the lab's own",
        key=entry.content,
    )


def command_in(root: Path, arch: Arch, host: Arch) -> tuple[str, ...]:
    """How QEMU is started from a root unpacked at `root`: through that root's own loader and libraries."""
    firmware = [word for folder in arch.qemu_firmware for word in ("-L", str(root / folder))]
    loader = (str(root / host.loader), "--library-path", str(root / host.library_path))
    return (*loader, str(root / "usr/bin" / arch.qemu_program), *firmware)


def host_qemu(arch: Arch) -> Qemu:
    """The host's own QEMU, for `lab doctor` to tell about; HostError when there is none."""
    program = which(arch.qemu_program, package=arch.qemu_packages[0])
    return Qemu((program,), (), _version((program,)), "the host's", file_digest(Path(program)))


def _version(command: tuple[str, ...]) -> str:
    output = run([*command, "--version"], deadline=30).text
    match = _VERSION.search(output)
    return match.group(1) if match else "unknown"
