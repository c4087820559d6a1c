"""A guest's memory as a file, crashed or running: compressed, within bounds, with what a debugger needs to read it."""

from __future__ import annotations

import contextlib
import mmap
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.arches import Arch
from lab.errors import LabError, MachineLostError, NoSpaceError
from lab.machines.machine import Machine

MEMORY, VMCOREINFO = "memory.kdump", "memory.vmcoreinfo"
LARGEST_MIB = 1024  # of a compressed dump: what is larger is thrown away
_LARGEST_GUEST_MIB = 8192
_SECONDS_PER_GIB = 60.0
_SPARE_MIB = 512
# The note that a kernel keeps for its dumps: its name, then its text, a page at most (kernel/vmcore_info.c).
_NOTE = re.compile(rb"VMCOREINFO\0\0(OSRELEASE=[^\0]{8,4084}\n)")
_NOTE_HEADER = 12
_KDUMP = b"KDUMP   "
_UTSNAME = 12  # bytes into a dump's header: six texts of 65


class DumpError(LabError):
    """A guest's memory could not be dumped, or a dump cannot be read."""


@dataclass(frozen=True)
class Dump:
    """A dump: the memory in kdump's compressed form, and the kernel's own note about itself (None: not found)."""

    memory: Path
    vmcoreinfo: Path | None


def take_dump(machine: Machine, folder: Path, *, largest_mib: int = LARGEST_MIB) -> Dump:
    """Dump the machine's memory into `folder`; the guest stands still meanwhile, and may have crashed before.

    NoSpaceError before anything is written when the worst case has no room. DumpError when it gets larger than
    `largest_mib`, or QEMU cannot; nothing of it is left then.
    """
    demand_room(folder, machine.spec.memory_mib)
    dump = folder / MEMORY
    deadline = 30.0 + _SECONDS_PER_GIB * machine.spec.memory_mib / 1024
    try:
        # First, because it is what tells whether the guest's memory can be made sense of.
        note = _find_note(machine, folder, deadline)
        _execute(machine, dump, "kdump-raw-zlib", deadline)
        _name_system(dump, machine.spec.arch, note_fields(note).get("OSRELEASE", ""))
        size = dump.stat().st_size >> 20
        if size > largest_mib:
            raise DumpError(
                f"the dump has {size} MiB, and {largest_mib} are allowed", hint="less memory: LAB_MEMORY_MIB"
            )
    except BaseException:
        dump.unlink(missing_ok=True)
        raise
    if note:
        (folder / VMCOREINFO).write_bytes(note)
    return Dump(dump, folder / VMCOREINFO if note else None)


def demand_room(folder: Path, memory_mib: int) -> None:
    """NoSpaceError unless all of a guest's memory has room twice: once as it is, then compressed, at worst as large."""
    if memory_mib > _LARGEST_GUEST_MIB:
        raise DumpError(f"a guest with {memory_mib} MiB of memory is too large to be dumped", hint="LAB_MEMORY_MIB")
    free = shutil.disk_usage(folder).free >> 20
    if free < 2 * memory_mib + _SPARE_MIB:
        raise NoSpaceError(
            f"{free} MiB are free at {folder}, and a dump of {memory_mib} MiB of memory may need {2 * memory_mib}",
            hint="make room, or set --bundle-dir to another disk",
        )


def _find_note(machine: Machine, folder: Path, deadline: float) -> bytes:
    """The kernel's note, sought in the memory itself: no device has to be in the guest for it, nor a driver."""
    plain = folder / f"{MEMORY}.plain"
    try:
        _execute(machine, plain, "elf", deadline)
        return find_note(plain)
    finally:
        plain.unlink(missing_ok=True)


def find_note(path: Path) -> bytes:
    """The text of the kernel's note in a file that holds its memory; empty when there is none."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        for match in _NOTE.finditer(memory):
            header = memory[match.start() - _NOTE_HEADER : match.start()]
            # The name's length with its zero, the text's, the type (0): else it is a copy in somebody's buffer.
            if header[:4] == b"\x0b\0\0\0" and header[8:] == b"\0\0\0\0":
                return bytes(match[1])
    return b""


def _execute(machine: Machine, path: Path, form: str, deadline: float) -> None:
    arguments: dict[str, object] = {"paging": False, "protocol": f"file:{path}", "format": form}
    try:
        machine.monitor.execute("dump-guest-memory", arguments, deadline)
    except MachineLostError as error:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        if "No space left" in error.what:
            raise NoSpaceError(f"no space left at {path.parent} for a dump", hint="lab gc") from error
        raise DumpError(f"the guest's memory was not dumped: {error.what}") from error


def _name_system(path: Path, arch: Arch, release: str) -> None:
    """Say in a dump's header what system it is of: QEMU leaves that out, and no reader knows the pages' form then."""
    words = ("Linux", "guest", release or "unknown", "#1", arch.machine, "(none)")
    with path.open("r+b") as stream:
        if stream.read(len(_KDUMP)) != _KDUMP:
            raise DumpError("QEMU wrote a dump in a form that the lab does not know", hint="use the lab's own QEMU")
        stream.seek(_UTSNAME)
        stream.write(b"".join(word.encode()[:64].ljust(65, b"\0") for word in words))


def dump_in(folder: Path) -> Dump:
    """The dump in a bundle; DumpError when there is none."""
    if not (folder / MEMORY).is_file():
        raise DumpError(f"there is no dump in {folder}", hint="a bundle has one when its guest crashed")
    note = folder / VMCOREINFO
    return Dump(folder / MEMORY, note if note.is_file() else None)


def note_fields(note: bytes) -> dict[str, str]:
    """The note's lines by their names: OSRELEASE, BUILD-ID, KERNELOFFSET, ..."""
    lines = (line.partition("=") for line in note.decode(errors="replace").splitlines())
    return {name: value for name, mark, value in lines if mark}
