"""Architectures: one record each, holding everything that differs between them."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass

from lab.errors import RequestError


@dataclass(frozen=True)
class Arch:
    """One architecture, by Debian's name.

    The words for QEMU have their reasons in docs/decisions.md.
    """

    name: str
    machine: str  # as uname -m says it
    triplet: str  # the cross compilers' prefix, without its last dash
    kbuild: str  # ARCH= of the kernel's makefiles
    qemu_program: str
    qemu_packages: tuple[str, ...]
    qemu_firmware: tuple[str, ...]  # folders below the lab's own QEMU root that -L names
    qemu_machine: str
    tcg_cpu: str
    tcg_threads: str  # "single": one for all CPUs; "multi": one for each
    console: str
    loader: str  # the dynamic loader, to run the lab's own QEMU of this host architecture
    library_path: str
    elf_machine: int  # e_machine of its programs

    @property
    def prefix(self) -> str:
        """What a cross compiler's programs are called by, before "gcc"."""
        return f"{self.triplet}-"

    def cross_package(self, program: str) -> str:
        """The package of a cross compiler's program: gcc-14 -> gcc-14-aarch64-linux-gnu."""
        return f"{program}-{self.triplet.replace('_', '-')}"


AMD64 = Arch(
    name="amd64",
    machine="x86_64",
    triplet="x86_64-linux-gnu",
    kbuild="x86",
    qemu_program="qemu-system-x86_64",
    qemu_packages=("qemu-system-x86", "seabios", "ipxe-qemu"),
    qemu_firmware=("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"),
    qemu_machine="q35",
    # Under TCG an unlocked cmpxchg16b corrupts early allocations: 1 boot in 8 died with cx16 on.
    tcg_cpu="max,-cx16",
    # With a thread for each CPU, QEMU 10.0.13 aborted in 1 boot of 300 (msix_table_mmio_write).
    tcg_threads="single",
    console="ttyS0",
    loader="usr/lib64/ld-linux-x86-64.so.2",
    library_path="usr/lib/x86_64-linux-gnu",
    elf_machine=62,
)

ARM64 = Arch(
    name="arm64",
    machine="aarch64",
    triplet="aarch64-linux-gnu",
    kbuild="arm64",
    qemu_program="qemu-system-aarch64",
    qemu_packages=("qemu-system-arm",),
    qemu_firmware=("usr/share/qemu",),
    qemu_machine="virt,gic-version=max",
    # QEMU's own algorithm instead of QARMA5, which it would emulate step by step: boots in a third of the time.
    tcg_cpu="max,pauth-impdef=on,lpa2=off",
    tcg_threads="single",
    console="ttyAMA0",
    loader="usr/lib/ld-linux-aarch64.so.1",
    library_path="usr/lib/aarch64-linux-gnu",
    elf_machine=183,
)

RISCV64 = Arch(
    name="riscv64",
    machine="riscv64",
    triplet="riscv64-linux-gnu",
    kbuild="riscv",
    qemu_program="qemu-system-riscv64",
    qemu_packages=("qemu-system-riscv", "opensbi"),
    qemu_firmware=("usr/share/qemu", "usr/lib/riscv64-linux-gnu/opensbi/generic"),
    qemu_machine="virt",
    tcg_cpu="max",
    # With one thread a CPU that spins keeps the others from running for a whole slice (its pause instruction does not
    # yield): patching kernel text, which rmmod does, took two minutes instead of two seconds.
    tcg_threads="multi",
    console="ttyS0",
    loader="usr/lib/ld-linux-riscv64-lp64d.so.1",
    library_path="usr/lib/riscv64-linux-gnu",
    elf_machine=243,
)

ARCHES = (AMD64, ARM64, RISCV64)


def find(name: str) -> Arch:
    """The architecture by Debian's name or uname's; RequestError lists what exists."""
    for arch in ARCHES:
        if name in (arch.name, arch.machine):
            return arch
    known = ", ".join(arch.name for arch in ARCHES)
    raise RequestError(f"unknown architecture {name!r}", hint=f"choose one of: {known}, all")


def find_all(names: Iterable[str]) -> list[Arch]:
    """The architectures of those names, each once; "all" is every one."""
    found = (ARCHES if name == "all" else (find(name),) for name in names)
    return list(dict.fromkeys(arch for group in found for arch in group))


def host() -> Arch:
    """The host's own architecture."""
    return find(platform.machine())
