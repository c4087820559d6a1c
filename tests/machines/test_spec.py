"""QEMU's command line follows from the specification, and keeps a hostile guest in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.arches import AMD64, ARM64, RISCV64, Arch
from lab.machines.accel import Accel, Acceleration
from lab.machines.spec import ENDPOINTS, MachineSpec, MemoryFile, kernel_cmdline, qemu_arguments

TCG = Acceleration(Accel.TCG, "a test")
SPEC = MachineSpec(
    arch=AMD64,
    acceleration=TCG,
    kernel=Path("/store/vmlinuz"),
    initrd=Path("/run/initrd"),
    root=Path("/store/root.ext4"),
    memory_mib=768,
    cpus=2,
)
DESCRIPTORS = {name: number for number, name in enumerate(ENDPOINTS, start=10)}


def arguments(spec: MachineSpec = SPEC) -> list[str]:
    return qemu_arguments(spec, DESCRIPTORS)


def value(words: list[str], option: str) -> str:
    """The one value of an option that stands once."""
    assert words.count(option) == 1
    return words[words.index(option) + 1]


def values(words: list[str], option: str) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == option]


def test_nothing_leaves_the_guest_and_ssh_is_on_loopback_at_a_port_the_kernel_chooses() -> None:
    assert value(arguments(), "-netdev") == "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"


def test_qemu_is_sandboxed() -> None:
    words = value(arguments(), "-sandbox").split(",")
    assert words[0] == "on"
    assert {"obsolete=deny", "elevateprivileges=deny", "spawn=deny", "resourcecontrol=deny"} == set(words[1:])


def test_no_configuration_of_the_hosts_and_no_default_device_gets_in() -> None:
    assert {"-nodefaults", "-no-user-config"} <= set(arguments())


def test_the_root_is_read_only_and_no_host_folder_is_shared() -> None:
    words = arguments()
    assert "read-only=on" in value(words, "-blockdev").split(",")
    assert "-virtfs" not in words
    assert "-fsdev" not in words
    assert "-drive" not in words


def test_a_crash_stops_the_machine_where_it_is() -> None:
    assert value(arguments(), "-action") == "reboot=shutdown,shutdown=pause"
    assert "panic=-1" in kernel_cmdline(SPEC).split()


def test_nothing_runs_before_the_console_is_read() -> None:
    assert "-S" in arguments()


def test_emulated_guests_get_the_cpu_without_cx16() -> None:
    words = arguments()
    assert value(words, "-cpu") == "max,-cx16"
    assert value(words, "-accel") == "tcg,thread=single"


def test_cpus_that_shall_run_at_the_same_time_have_a_thread_each() -> None:
    assert value(arguments(replace(SPEC, parallel=True)), "-accel") == "tcg,thread=multi"


@pytest.mark.parametrize(
    ("arch", "machine", "cpu", "threads", "console"),
    [
        (ARM64, "virt,gic-version=max", "max,pauth-impdef=on,lpa2=off", "single", "ttyAMA0"),
        (RISCV64, "virt", "max", "multi", "ttyS0"),
    ],
)
def test_every_architecture_has_its_own_words(arch: Arch, machine: str, cpu: str, threads: str, console: str) -> None:
    spec = replace(SPEC, arch=arch)
    words = arguments(spec)
    assert (value(words, "-machine"), value(words, "-cpu")) == (machine, cpu)
    assert value(words, "-accel") == f"tcg,thread={threads}"
    assert kernel_cmdline(spec).startswith(f"console={console} ")


@pytest.mark.parametrize("kind", Accel)
def test_cpu_features_come_last_so_that_they_win(kind: Accel) -> None:
    spec = replace(SPEC, acceleration=Acceleration(kind, "a test"), cpu_features="lpa2=on")
    assert value(arguments(spec), "-cpu").endswith(",lpa2=on")


def test_virtualized_guests_get_the_hosts_cpu() -> None:
    words = arguments(replace(SPEC, acceleration=Acceleration(Accel.KVM, "a test")))
    assert (value(words, "-cpu"), value(words, "-accel")) == ("host", "kvm")


def test_memory_and_cpus_are_those_of_the_specification() -> None:
    words = arguments(replace(SPEC, memory_mib=1024, cpus=3))
    assert (value(words, "-m"), value(words, "-smp")) == ("1024M", "3")


def test_the_kernel_is_booted_directly_with_its_own_words_last() -> None:
    words = arguments(replace(SPEC, cmdline=("nokaslr", "x=1")))
    assert (value(words, "-kernel"), value(words, "-initrd")) == ("/store/vmlinuz", "/run/initrd")
    line = value(words, "-append").split()
    assert line[0] == "console=ttyS0"
    assert line[-2:] == ["nokaslr", "x=1"]


def test_endpoints_can_be_inherited_descriptors() -> None:
    assert values(arguments(), "-chardev") == [
        f"socket,id={name},fd={DESCRIPTORS[name]},server=on,wait=off" for name in ENDPOINTS
    ]


def test_endpoints_can_be_paths_for_a_person_to_run() -> None:
    words = qemu_arguments(SPEC, {name: Path(f"/run/{name}.sock") for name in ENDPOINTS})
    assert values(words, "-chardev") == [
        f"socket,id={name},path=/run/{name}.sock,server=on,wait=off" for name in ENDPOINTS
    ]


def test_every_endpoint_is_connected_to_something() -> None:
    words = " ".join(arguments())
    for use in ("-serial chardev:console", "chardev=monitor,mode=control", "chardev=control,name=lab.control"):
        assert use in words
    assert "chardev=events,name=lab.events" in words


def test_an_endpoint_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="monitor"):
        qemu_arguments(SPEC, {name: 3 for name in ENDPOINTS if name != "monitor"})


def test_commas_in_paths_do_not_end_an_option() -> None:
    """In QEMU's key=value lists a comma is written twice."""
    words = qemu_arguments(replace(SPEC, root=Path("/a,b/root")), {name: Path("/a,b/s") for name in ENDPOINTS})
    assert value(words, "-blockdev").endswith("file.filename=/a,,b/root")
    assert all("path=/a,,b/s,server=on" in word for word in values(words, "-chardev"))


def test_a_machine_that_is_booted_has_its_memory_to_itself() -> None:
    words = arguments()
    assert "memory-backend" not in " ".join(words)
    assert "-incoming" not in words


@pytest.mark.parametrize("arch", [AMD64, ARM64, RISCV64], ids=lambda arch: arch.name)
def test_a_machine_that_shall_be_saved_writes_its_memory_to_a_file(arch: Arch) -> None:
    words = arguments(replace(SPEC, arch=arch, memory=MemoryFile(Path("/store/a,b"), written=True)))
    backends = [word for word in values(words, "-object") if word.startswith("memory-backend-file")]
    assert backends == ["memory-backend-file,id=ram,size=768M,mem-path=/store/a,,b,share=on"]
    assert value(words, "-machine") == f"{arch.qemu_machine},memory-backend=ram"
    assert "-incoming" not in words


def test_a_fork_opens_its_templates_memory_to_be_read_only_and_waits_for_its_state() -> None:
    words = arguments(replace(SPEC, memory=MemoryFile(Path("/store/memory"), written=False), incoming=True))
    (backend,) = (word for word in values(words, "-object") if word.startswith("memory-backend-file"))
    assert {"share=off", "readonly=on", "rom=off"} <= set(backend.split(","))
    assert value(words, "-incoming") == "defer"
    assert "-S" in words, "it would run before the lab is connected"


def test_a_machine_to_be_debugged_has_a_second_serial_line() -> None:
    spec = replace(SPEC, debug_line=True)
    words = qemu_arguments(spec, {name: number for number, name in enumerate(spec.endpoints, start=10)})
    assert values(words, "-serial") == ["chardev:console", "chardev:debug"]
    assert "socket,id=debug,fd=14,server=on,wait=off" in words
    assert values(arguments(), "-serial") == ["chardev:console"]
