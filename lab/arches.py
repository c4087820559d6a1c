"""Architectures: one record each, holding everything that differs between them."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from lab.errors import RequestError


@dataclass(frozen=True)
class Arch:
    """One architecture, by Debian's name.

    `machine_settings` and `tcg_cpu` are QEMU's words; their reasons stand in docs/decisions.md.
    """

    name: str
    machine: str  # as uname -m says it
    qemu_program: str
    qemu_packages: tuple[str, ...]
    qemu_firmware: tuple[str, ...]  # folders below the lab's own QEMU root that -L names
    qemu_machine: str
    tcg_cpu: str
    console: str
    loader: str  # the dynamic loader, to run the lab's own QEMU of this host architecture
    library_path: str


AMD64 = Arch(
    name="amd64",
    machine="x86_64",
    qemu_program="qemu-system-x86_64",
    qemu_packages=("qemu-system-x86", "seabios", "ipxe-qemu"),
    qemu_firmware=("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"),
    qemu_machine="q35",
    # Under TCG an unlocked cmpxchg16b corrupts early allocations: 1 boot in 8 died with cx16 on.
    tcg_cpu="max,-cx16",
    console="ttyS0",
    loader="usr/lib64/ld-linux-x86-64.so.2",
    library_path="usr/lib/x86_64-linux-gnu",
)

ARCHES = (AMD64,)


def find(name: str) -> Arch:
    """The architecture by Debian's name or uname's; RequestError lists what exists."""
    for arch in ARCHES:
        if name in (arch.name, arch.machine):
            return arch
    known = ", ".join(arch.name for arch in ARCHES)
    raise RequestError(f"unknown architecture {name!r}", hint=f"choose one of: {known}")


def host() -> Arch:
    """The host's own architecture."""
    return find(platform.machine())
