"""The command line of a machine that is recorded and replayed, and the disk for its snapshots."""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from lab.arches import AMD64, ARM64, RISCV64, Arch
from lab.machines.accel import Accel, Acceleration
from lab.machines.qcow2 import make_disk
from lab.machines.rewound import Files, Mode, rewound_arguments
from lab.machines.spec import MachineSpec

FILES = Files(Path("/run/lab/0"))
SPEC = MachineSpec(
    arch=AMD64,
    acceleration=Acceleration(Accel.KVM, "a test"),
    kernel=Path("/k/vmlinuz"),
    initrd=Path("/k/initrd"),
    root=Path("/i/root.ext4"),
    memory_mib=512,
    cpus=4,
)


def arguments(spec: MachineSpec = SPEC, mode: Mode = Mode.RECORD) -> list[str]:
    return rewound_arguments(spec, FILES, mode, 7)


def values(words: list[str], option: str) -> list[str]:
    return [after for before, after in itertools.pairwise(words) if before == option]


def test_it_is_emulated_on_one_cpu_whatever_the_specification_says() -> None:
    words = arguments()
    assert values(words, "-accel") == ["tcg,thread=single"]
    assert values(words, "-smp") == ["1"]
    assert values(words, "-m") == ["512M"]


def test_a_replay_differs_from_its_recording_in_the_mode_and_the_consoles_file_alone() -> None:
    record, replay = arguments(), arguments(mode=Mode.REPLAY)
    different = [(one, other) for one, other in zip(record, replay, strict=True) if one != other]
    assert different == [
        (
            "shift=3,rr=record,rrfile=/run/lab/0/replay.log,rrsnapshot=start",
            "shift=3,rr=replay,rrfile=/run/lab/0/replay.log,rrsnapshot=start",
        ),
        ("file,id=console,path=/run/lab/0/console-record.log", "file,id=console,path=/run/lab/0/console-replay.log"),
    ]


@pytest.mark.parametrize("arch", [AMD64, ARM64, RISCV64])
def test_nothing_reaches_the_guest_from_outside(arch: Arch) -> None:
    words = arguments(replace(SPEC, arch=arch))
    assert values(words, "-netdev") == []
    assert values(words, "-device") == ["virtio-blk-pci,drive=root-replay"]
    assert values(words, "-rtc") == ["base=2026-01-01T00:00:00,clock=vm"]
    assert [word for word in words if word.startswith("socket,")] == ["socket,id=monitor,fd=7,server=on,wait=off"]


def test_devices_whose_snapshots_cannot_be_gone_on_from_are_left_out() -> None:
    assert values(arguments(), "-machine") == ["q35,hpet=off"]
    assert values(arguments(), "-global") == ["apic-common.vapic=off"]
    other = arguments(replace(SPEC, arch=ARM64))
    assert values(other, "-machine") == [ARM64.qemu_machine]
    assert values(other, "-global") == []


def test_the_root_is_read_only_and_its_requests_end_when_they_did() -> None:
    root, replayed = values(arguments(), "-blockdev")
    assert "read-only=on" in root
    assert replayed == "driver=blkreplay,node-name=root-replay,image=root,read-only=on"


def test_commas_in_paths_do_not_end_an_option() -> None:
    words = rewound_arguments(SPEC, Files(Path("/a,b")), Mode.RECORD, Path("/a,b/m.sock"))
    assert "socket,id=monitor,path=/a,,b/m.sock,server=on,wait=off" in words
    assert "file=/a,,b/snapshots.qcow2,format=qcow2,if=none,id=snapshots" in words


def test_a_disk_for_snapshots_is_empty_and_its_tables_lie_where_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    make_disk(path, 1 << 20)
    data = path.read_bytes()
    assert data[:8] == b"QFI\xfb\0\0\0\3"
    (size,) = struct.unpack_from(">Q", data, 24)
    (entries, first, counts, clusters) = struct.unpack_from(">I", data, 36) + struct.unpack_from(">QQI", data, 40)
    assert (size, entries, clusters) == (1 << 20, 1, 1)
    (block,) = struct.unpack_from(">Q", data, counts)
    used = struct.unpack_from(">8H", data, block)
    assert used == (1, 1, 1, 1, 0, 0, 0, 0)
    assert data[first : first + 8] == bytes(8)
    assert len(data) == 4 << 16


@pytest.mark.parametrize("size", [0, -1, 1 << 40])
def test_a_disk_of_no_size_is_a_mistake(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match="a disk of"):
        make_disk(tmp_path / "disk", size)
