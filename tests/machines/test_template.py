"""A template's key tells apart whatever would make another machine; its memory needs room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.arches import AMD64
from lab.errors import NoSpaceError
from lab.images.cpio import CpioFile
from lab.machines import template as templates
from lab.machines.accel import Accel, Acceleration
from lab.machines.qemu import Qemu
from lab.machines.spec import MachineSpec, MemoryFile
from lab.machines.template import Template
from lab.store import key_of

QEMU = Qemu(("qemu",), (), "10.0.13", "the lab's own", "a-key")
PAYLOAD = {"bin/lab-agent": CpioFile(b"agent", 0o755)}
CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: A CPU
stepping\t: 6
cpu MHz\t\t: 2900.000
flags\t\t: fpu vme

processor\t: 1
model name\t: A CPU
cpu MHz\t\t: 1200.000
"""


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    for name in ("kernel", "initrd", "root"):
        (tmp_path / name).write_text(name)
    tcg = Acceleration(Accel.TCG, "a test")
    return MachineSpec(AMD64, tcg, tmp_path / "kernel", tmp_path / "initrd", tmp_path / "root", 768, 2)


def key(spec: MachineSpec, qemu: Qemu = QEMU, payload: dict[str, CpioFile] = PAYLOAD, **more: Any) -> str:
    return key_of(templates.inputs(spec, qemu, payload, **more))


def test_a_key_depends_on_no_run_and_no_folder(spec: MachineSpec, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kernel")
    moved = replace(spec, kernel=tmp_path / "elsewhere", memory=MemoryFile(tmp_path / "memory", written=True))
    assert key(moved, replace(QEMU, command=("/another/qemu",))) == key(spec)


@pytest.mark.parametrize(
    "change",
    [
        {"memory_mib": 1024},
        {"cpus": 1},
        {"cmdline": ("nokaslr",)},
        {"cpu_features": "lpa2=off"},
        {"arch": replace(AMD64, qemu_machine="q35,hpet=off")},
        {"arch": replace(AMD64, tcg_cpu="max")},
        {"arch": replace(AMD64, tcg_threads="multi")},
        {"acceleration": Acceleration(Accel.KVM, "a test")},
    ],
)
def test_another_machine_has_another_key(spec: MachineSpec, change: dict[str, Any]) -> None:
    assert key(replace(spec, **change)) != key(spec)


def test_another_kernel_or_initrd_has_another_key(spec: MachineSpec) -> None:
    keys = {key(spec), key(replace(spec, kernel=spec.initrd)), key(replace(spec, initrd=spec.kernel))}
    assert len(keys) == 3


def test_another_qemu_payload_or_user_has_another_key(spec: MachineSpec) -> None:
    others = [
        key(spec, replace(QEMU, version="10.0.14")),
        key(spec, replace(QEMU, key="another")),
        key(spec, payload={"bin/lab-agent": CpioFile(b"another", 0o755)}),
        key(spec, payload={**PAYLOAD, "driver/x.ko": CpioFile(b"x")}),
        key(spec, image="an image"),
        key(spec, image="another image"),
    ]
    assert len({key(spec), *others}) == 7


def test_why_an_acceleration_was_chosen_makes_no_other_machine(spec: MachineSpec) -> None:
    assert key(replace(spec, acceleration=Acceleration(Accel.TCG, "requested"))) == key(spec)


def test_a_hosts_cpu_is_its_model_and_not_its_speed_now() -> None:
    assert templates.host_cpu(CPUINFO) == templates.host_cpu(CPUINFO.replace("2900", "1200"))
    assert templates.host_cpu(CPUINFO) != templates.host_cpu(CPUINFO.replace("fpu vme", "fpu"))
    assert templates.host_cpu(CPUINFO) != templates.host_cpu(CPUINFO.replace("A CPU", "Another"))
    assert "MHz" not in templates.host_cpu(CPUINFO)


def test_a_machine_is_saved_where_its_memory_has_room(spec: MachineSpec, tmp_path: Path) -> None:
    assert templates.savable(spec, tmp_path).memory == MemoryFile(tmp_path / "memory", written=True)
    taken = (tmp_path / "memory").stat()
    assert taken.st_size == 768 << 20
    assert taken.st_blocks * 512 >= taken.st_size, "a disk that gets full would end the guest"
    with pytest.raises(NoSpaceError, match="a machine's memory of 1073741824 MiB is to be kept there"):
        templates.savable(replace(spec, memory_mib=1 << 30), tmp_path)


def test_a_fork_is_its_template_with_memory_that_is_only_read(spec: MachineSpec, tmp_path: Path) -> None:
    fork = Template("a-key", tmp_path, cut=False).spec(spec)
    assert fork == replace(spec, memory=MemoryFile(tmp_path / "memory", written=False), incoming=True)
