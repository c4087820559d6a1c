"""Kernel modules, built by the kernel's own makefiles."""

from __future__ import annotations

import shutil

from lab.arches import host
from lab.drivers.work import Work, make_variables, words_of
from lab.kernels.headers import BuildTree


def build_module(work: Work, tree: BuildTree) -> None:
    """Leave the module in the work's folder, and as debug.ko with its debug information."""
    arch = work.kernel.arch
    # KERNELDIR: what modules' own makefiles call the kernel's tree; here it is not at /lib/modules/RELEASE/build.
    words = words_of(make_variables(arch, tree.compiler) | {"KERNELDIR": tree.path})
    defines = [f"KCFLAGS={' '.join(work.driver.defines)}"] if work.driver.defines else []
    command = ["make", "-C", tree.path, f"M={work.inside}", "-j2", *words, *defines, "modules"]
    built = work.compile(command, f"{work.driver.mode.module}.ko")
    shutil.copy(built, work.folder / "debug.ko")
    work.strip([f"{'' if arch == host() else arch.prefix}strip", "--strip-debug"], built)
    shutil.move(built, work.folder / built.name)
