"""Dumps and debug information: bounded, and of the very build that runs."""

from __future__ import annotations

import shutil
import struct
from collections import namedtuple
from pathlib import Path
from typing import Any, cast

import pytest

from lab.arches import AMD64
from lab.debugging.debuginfo import (
    WrongSymbolsError,
    build_id,
    build_id_in,
    demand_same_build,
    has_debug_info,
    sections,
)
from lab.debugging.dump import DumpError, demand_room, dump_in, find_note, note_fields, take_dump
from lab.errors import MachineLostError, NoSpaceError

NOTE = b"OSRELEASE=6.12.117\nBUILD-ID=abcd\nKERNELOFFSET=9800000\n"
HEADER = struct.pack("<III", 11, len(NOTE), 0)
Usage = namedtuple("Usage", "total used free")


class Monitor:
    """Writes what a dump shall hold; `fails` is what it says instead."""

    def __init__(self) -> None:
        self.fails = ""
        self.size = 4096

    def execute(self, command: str, arguments: dict[str, Any], _: float) -> None:
        assert command == "dump-guest-memory"
        path = Path(arguments["protocol"].removeprefix("file:"))
        path.write_bytes(b"partly")
        if self.fails:
            raise MachineLostError(self.fails)
        if arguments["format"] == "elf":
            path.write_bytes(
                b"x" * 100 + b"VMCOREINFO\0\0OSRELEASE=a copy of it\n" + HEADER + b"VMCOREINFO\0\0" + NOTE + bytes(9)
            )
        else:
            path.write_bytes(b"KDUMP   " + bytes(self.size))


class Guest:
    """As much of a machine as a dump needs."""

    def __init__(self) -> None:
        self.monitor = Monitor()

        class Spec:
            memory_mib = 1
            arch = AMD64

        self.spec = Spec


def take(guest: Guest, folder: Path, **more: Any) -> Any:
    return take_dump(cast(Any, guest), folder, **more)


def test_a_dump_holds_the_memory_what_it_is_of_and_the_kernels_note_and_nothing_else_stays(tmp_path: Path) -> None:
    dump = take(Guest(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["memory.kdump", "memory.vmcoreinfo"]
    head = dump.memory.read_bytes()
    assert head[12:17] == b"Linux"
    assert head[12 + 2 * 65 : 12 + 2 * 65 + 8] == b"6.12.117"
    assert head[12 + 4 * 65 : 12 + 4 * 65 + 6] == b"x86_64"
    assert note_fields(dump.vmcoreinfo.read_bytes())["KERNELOFFSET"] == "9800000"
    assert dump_in(tmp_path) == dump


def test_a_dump_larger_than_the_disk_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1500 << 20))
    with pytest.raises(NoSpaceError, match=r"1500 MiB are free at .*, and a dump of 768 MiB of memory may need 1536"):
        demand_room(tmp_path, 768)
    guest = Guest()
    guest.spec.memory_mib = 768
    with pytest.raises(NoSpaceError):
        take(guest, tmp_path)
    assert not list(tmp_path.iterdir())
    demand_room(tmp_path, 256)


def test_a_guest_that_is_too_large_is_never_dumped(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="65536 MiB of memory is too large"):
        demand_room(tmp_path, 65536)


@pytest.mark.parametrize(
    ("said", "kind"),
    [("QEMU did not do it: dump: failed to save memory: No space left on device", NoSpaceError), ("no", DumpError)],
)
def test_a_dump_that_fails_leaves_nothing(tmp_path: Path, said: str, kind: type[Exception]) -> None:
    guest = Guest()
    guest.monitor.fails = said
    with pytest.raises(kind):
        take(guest, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_dump_that_gets_too_large_is_thrown_away(tmp_path: Path) -> None:
    guest = Guest()
    guest.monitor.size = 3 << 20
    with pytest.raises(DumpError, match="has 3 MiB, and 2 are allowed"):
        take(guest, tmp_path, largest_mib=2)
    assert not list(tmp_path.iterdir())


def test_a_copy_of_the_note_somewhere_in_memory_is_none(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(b"\0" * 40 + b"VMCOREINFO\0\0OSRELEASE=6.12.117\nBUILD-ID=evil\n\0")
    assert find_note(path) == b""


def test_a_bundle_without_a_dump_says_so(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="there is no dump in"):
        dump_in(tmp_path)


def elf(path: Path, identity: bytes, names: tuple[bytes, ...] = (b".note.gnu.build-id",)) -> Path:
    """An ELF file with a build id, and other sections that are empty."""
    note = struct.pack("<III", 4, len(identity), 3) + b"GNU\0" + identity
    strings = b"\0" + b"\0".join((*names, b".shstrtab")) + b"\0"
    rows, at = [bytes(64)], 1
    for name in names:
        rows.append(struct.pack("<IIQQQQIIQQ", at, 7, 0, 0, 64, len(note), 0, 0, 1, 0))
        at += len(name) + 1
    rows.append(struct.pack("<IIQQQQIIQQ", at, 3, 0, 0, 64 + len(note), len(strings), 0, 0, 1, 0))
    table = 64 + len(note) + len(strings)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, len(rows), len(rows) - 1
    )
    path.write_bytes(head + note + strings + b"".join(rows))
    return path


def test_symbols_of_another_build_are_refused_by_their_build_id(tmp_path: Path) -> None:
    vmlinux = elf(tmp_path / "vmlinux", b"\x11" * 20)
    assert build_id(vmlinux) == "11" * 20
    demand_same_build(vmlinux, "11" * 20, "kernel")
    with pytest.raises(WrongSymbolsError, match="vmlinux is of another build than the kernel that runs: build id 1111"):
        demand_same_build(vmlinux, "22" * 20, "kernel")


def test_the_build_id_is_found_among_a_guests_notes() -> None:
    other = struct.pack("<III", 6, 4, 0x101) + b"Linux\0\0\0" + b"abcd"
    own = struct.pack("<III", 4, 20, 3) + b"GNU\0" + b"\xab" * 20
    assert build_id_in(other + own) == "ab" * 20
    assert build_id_in(other) == ""
    assert build_id_in(own[:20]) in ("", "ab" * 4)
    assert build_id_in(struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 3)) == ""


def test_debug_information_is_seen_and_what_is_no_elf_has_no_sections(tmp_path: Path) -> None:
    assert has_debug_info(elf(tmp_path / "a", b"x" * 20, (b".debug_info",)))
    assert not has_debug_info(elf(tmp_path / "b", b"x" * 20))
    for data in (b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 100):
        (tmp_path / "c").write_bytes(data)
        assert list(sections(tmp_path / "c")) == []
        assert build_id(tmp_path / "c") == ""
