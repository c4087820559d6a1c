"""Programs that a user gives: are they what a driver's manifest asks for, and for which architecture."""

from __future__ import annotations

import contextlib
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from lab.arches import ARCHES
from lab.drivers.schema import Artifact
from lab.errors import RequestError, UnsupportedError
from lab.kernels.kernel import Kernel

# /usr/include/elf.h
_MAGIC = b"\x7fELF"
_TYPE, _MACHINE = slice(16, 18), slice(18, 20)
_RELOCATABLE = b"\x01\x00"  # what modules are, and no program is
# include/linux/vermagic.h: the release, then what the kernel was configured with.
_VERMAGIC = re.compile(rb"(?<![ -~])vermagic=([^ \0]{1,128}) ")


def kind_of(path: Path, wanted: Artifact, driver: str) -> str:
    """Which of the kinds in the manifest the program is, empty where the manifest has none.

    RequestError when it is no program, not one of these, or lacks what the driver needs.
    """
    try:
        with _mapped(path) as data:
            if data[: len(_MAGIC)] != _MAGIC:
                raise RequestError(f"{path} is no program: it is not in the ELF format", hint=wanted.describe)
            if wanted.needs_text and data.find(wanted.needs_text.encode()) < 0:
                lacks = wanted.lacks or f"the text {wanted.needs_text!r}"
                raise RequestError(f"{path} lacks {lacks}, which {driver} needs", hint=wanted.describe)
            found = [name for name, kind in wanted.kinds.items() if data.find(kind.text.encode()) >= 0]
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise RequestError(f"{path} cannot be read: {error}", hint=wanted.describe) from error
    if wanted.kinds and not found:
        known = ", ".join(wanted.kinds)
        raise RequestError(f"{path} is none of the programs that {driver} knows: {known}", hint=wanted.describe)
    return found[0] if found else ""


def demand_fitting(path: Path, kernel: Kernel, driver: str) -> None:
    """UnsupportedError when it is for another architecture than the guest, or a module for another kernel."""
    with _mapped(path) as data:
        machine, kind = int.from_bytes(data[_MACHINE], "little"), data[_TYPE]
        module = _VERMAGIC.search(data) if kind == _RELOCATABLE else None
        release = module[1].decode(errors="replace") if module else kernel.release
    arch = kernel.arch
    if machine != arch.elf_machine:
        name = next((known.name for known in ARCHES if known.elf_machine == machine), f"ELF machine {machine}")
        raise UnsupportedError(f"the program given to {driver} is for {name}, and the guest is {arch.name}: {path}")
    if release != kernel.release:
        what = f"the module given to {driver} was built for kernel {release}, and the guest's is {kernel.release}"
        raise UnsupportedError(f"{what}: {path}", hint="give the one that was built for it")


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data
