"""Programs that a user gives: are they what a driver's manifest asks for, and for which architecture."""

from __future__ import annotations

import mmap
from pathlib import Path

from lab.arches import ARCHES, Arch
from lab.drivers.schema import Artifact
from lab.errors import RequestError, UnsupportedError

# /usr/include/elf.h
_MAGIC = b"\x7fELF"
_MACHINE = slice(18, 20)


def kind_of(path: Path, wanted: Artifact, driver: str) -> str:
    """Which of the kinds in the manifest the program is, empty where the manifest has none.

    RequestError when it is no program, not one of these, or lacks what the driver needs.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
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


def demand_arch(path: Path, arch: Arch, driver: str) -> None:
    """UnsupportedError when the program is for another architecture than the guest."""
    with path.open("rb") as stream:
        machine = int.from_bytes(stream.read(_MACHINE.stop)[_MACHINE], "little")
    if machine != arch.elf_machine:
        name = next((known.name for known in ARCHES if known.elf_machine == machine), f"ELF machine {machine}")
        raise UnsupportedError(f"the program given to {driver} is for {name}, and the guest is {arch.name}: {path}")
