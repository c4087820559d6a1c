"""What a machine is made of, and the QEMU command line that follows from it. Pure: nothing here starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.arches import Arch
from lab.machines.accel import Accel, Acceleration

# Everything the host speaks with a guest over: a listening socket each, by these names.
ENDPOINTS = ("console", "monitor", "control", "events")
_PORTS = ("control", "events")
# A second serial line, on machines that are to be debugged over it.
DEBUG_LINE = "debug"

# spawn=deny and the rest need no cooperation of the guest; a QEMU that is broken out of can start nothing.
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


@dataclass(frozen=True)
class MemoryFile:
    """A file that holds a guest's memory: written to while a template is made, else a fork's to read and never to
    write, its own writes staying its own."""

    path: Path
    written: bool


@dataclass(frozen=True)
class MachineSpec:
    """One guest. Paths are files on the host; memory in MiB, in `memory` when it shall outlive the machine.

    With `incoming` QEMU waits for a machine's state instead of starting one. With `debug_line` it has a second serial
    line beside its console. With `parallel` its CPUs run at the same time under emulation too.
    """

    arch: Arch
    acceleration: Acceleration
    kernel: Path
    initrd: Path
    root: Path
    memory_mib: int
    cpus: int
    cmdline: tuple[str, ...] = ()
    cpu_features: str = ""
    memory: MemoryFile | None = None
    incoming: bool = False
    debug_line: bool = False
    parallel: bool = False

    @property
    def endpoints(self) -> tuple[str, ...]:
        """What the host speaks with this guest over."""
        return (*ENDPOINTS, DEBUG_LINE) if self.debug_line else ENDPOINTS


def kernel_cmdline(spec: MachineSpec) -> str:
    """The guest kernel's command line.

    panic=-1 reboots at once on a panic, which `-action reboot=shutdown,shutdown=pause` turns into a machine that stands
    still with everything in it (docs/decisions.md, "A crash is kept").
    """
    return " ".join((f"console={spec.arch.console}", "panic=-1", "printk.time=1", "random.trust_cpu=on", *spec.cmdline))


def qemu_arguments(spec: MachineSpec, sockets: Mapping[str, int | Path]) -> list[str]:
    """QEMU's arguments, without the program.

    `sockets` gives for each of `spec.endpoints` a listening socket: a file descriptor that QEMU inherits, or a path
    where QEMU makes one itself (the form a person can run by hand).
    """
    return [
        "-nodefaults",
        "-no-user-config",
        *("-sandbox", _SANDBOX),
        *("-display", "none"),
        *_processor(spec),
        *_memory(spec),
        *("-kernel", str(spec.kernel)),
        *("-initrd", str(spec.initrd)),
        *("-append", kernel_cmdline(spec)),
        *_root_disk(spec),
        *_network(),
        *("-object", "rng-random,id=random,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=random"),
        *_endpoints(spec, sockets),
        *("-action", "reboot=shutdown,shutdown=pause"),
        # Stopped at the start: nothing is printed before the console's reader is there.
        "-S",
        *(("-incoming", "defer") if spec.incoming else ()),
    ]


def _processor(spec: MachineSpec) -> list[str]:
    kvm = spec.acceleration.kind is Accel.KVM
    threads = "multi" if spec.parallel else spec.arch.tcg_threads
    return [
        *("-machine", ",".join((spec.arch.qemu_machine, *(("memory-backend=ram",) if spec.memory else ())))),
        *("-accel", "kvm" if kvm else f"tcg,thread={threads}"),
        *("-cpu", ",".join(word for word in ("host" if kvm else spec.arch.tcg_cpu, spec.cpu_features) if word)),
        *("-smp", str(spec.cpus)),
    ]


def _memory(spec: MachineSpec) -> list[str]:
    size = f"{spec.memory_mib}M"
    if spec.memory is None:
        return ["-m", size]
    # rom=off: the file is opened to be read only, and the guest's memory can be written all the same.
    how = "share=on" if spec.memory.written else "share=off,readonly=on,rom=off"
    backend = f"memory-backend-file,id=ram,size={size},mem-path={_escaped(spec.memory.path)},{how}"
    return ["-m", size, "-object", backend]


def _root_disk(spec: MachineSpec) -> list[str]:
    drive = f"driver=raw,node-name=root,read-only=on,file.driver=file,file.filename={_escaped(spec.root)}"
    return ["-blockdev", drive, "-device", "virtio-blk-pci,drive=root"]


def _escaped(path: Path) -> str:
    """A path within a key=value list of QEMU's, where a comma is written twice."""
    return str(path).replace(",", ",,")


def _network() -> list[str]:
    # restrict=on: nothing leaves the guest. Port 0: the host's kernel chooses one, which the monitor then tells.
    return [
        *("-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _endpoints(spec: MachineSpec, sockets: Mapping[str, int | Path]) -> list[str]:
    arguments = []
    for name in spec.endpoints:
        where = sockets[name]
        address = f"fd={where}" if isinstance(where, int) else f"path={_escaped(where)}"
        arguments += ["-chardev", f"socket,id={name},{address},server=on,wait=off"]
    arguments += ["-serial", "chardev:console", "-mon", "chardev=monitor,mode=control"]
    if spec.debug_line:
        arguments += ["-serial", f"chardev:{DEBUG_LINE}"]
    arguments += ["-device", "virtio-serial-pci"]
    for number, name in enumerate(_PORTS, start=1):
        arguments += ["-device", f"virtserialport,chardev={name},name=lab.{name},nr={number}"]
    return arguments
