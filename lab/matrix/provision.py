"""Turns a cell into what a machine needs, and boots machines from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.arches import Arch
from lab.drivers.build import DriverBuild, build_driver, demand_supported
from lab.drivers.deploy import Deployment, deploy, driver_payload, own_programs, resume
from lab.drivers.manifest import DriverMode, Given, find_driver
from lab.errors import UnsupportedError
from lab.images.cpio import CpioFile
from lab.images.initrd import make_initrd
from lab.images.programs import build_program
from lab.images.recipe import RECIPES
from lab.images.root import Image, guest_image
from lab.kernels.kernel import Choice, Kernel
from lab.kernels.resolve import KernelSource
from lab.machines.accel import Acceleration, choose
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.machines.qemu import Qemu, own_qemu
from lab.machines.spec import MachineSpec
from lab.matrix.cell import Cell
from lab.settings import Settings
from lab.store import Store


@dataclass(frozen=True)
class Prepared:
    """A cell with everything fetched and built: machines can be booted from it at once."""

    cell: Cell
    kernel: Kernel
    image: Image
    initrd: Path
    qemu: Qemu
    acceleration: Acceleration
    driver: DriverBuild | None
    programs: Mapping[str, bytes]
    agent: bytes

    def versions(self) -> dict[str, Any]:
        """Everything that decides what runs, for headers and bundles."""
        return {
            "cell": self.cell.slug,
            "kernel": {"release": self.kernel.release, **self.kernel.provenance},
            "image": {"recipe": self.image.name, "packages": self.image.packages},
            "driver": self.driver.provenance if self.driver else None,
            "qemu": {"version": self.qemu.version, "origin": self.qemu.origin},
            "acceleration": {"kind": str(self.acceleration.kind), "why": self.acceleration.why},
        }


class Lab:
    """The lab on this host: its settings and store, and what it makes with them. `notice` tells the user."""

    def __init__(self, settings: Settings, notice: Callable[[str], None]) -> None:
        self.settings = settings
        self.notice = notice
        self.store = Store(settings.store, min_free_mib=settings.min_free_mib, notice=notice)
        self.store.sweep()
        self.kernels = KernelSource(self.store, settings, notice)

    def prepare(self, cell: Cell, choice: Choice | None = None, *, more: tuple[str, ...] = ()) -> Prepared:
        """Fetch and build what the cell needs; `choice` is its kernel when that was resolved already, and `more` are
        packages for its guest's root image.

        UnsupportedError before anything is built when it cannot be; what nothing can load, because its consumer would,
        is built. RequestError when the driver's adapter cannot be loaded.
        """
        driver = find_driver(cell.driver, Given.of(self.settings)) if cell.driver else None
        kernel = (choice or self.kernels.resolve(cell.kernel, cell.arch)).fetch()
        if driver:
            demand_supported(driver, kernel)
            if not driver.mute:
                driver.adapter()
        build = build_driver(driver, kernel, self.store, self.settings, self.notice) if driver else None
        if driver and driver.mute and driver.mode.loads_itself:
            raise UnsupportedError(driver.mute)
        qemu = own_qemu(cell.arch, self.store, self.settings, self.notice)
        acceleration = choose(self.settings.accel, cell.arch, qemu.command, self.store)
        image = self._image(driver, cell.arch, more)
        return Prepared(
            cell=cell,
            kernel=kernel,
            image=image,
            initrd=make_initrd(kernel, image.busybox, self.store, self.notice),
            qemu=qemu,
            acceleration=acceleration,
            driver=build,
            programs={name: self._own_program(name, cell.arch) for name in own_programs(driver)} if driver else {},
            agent=self._own_program("lab-agent", cell.arch),
        )

    def _image(self, driver: DriverMode | None, arch: Arch, more: tuple[str, ...]) -> Image:
        """The guest's, with what the driver's consumer needs, and `more`."""
        consumer = driver.mode.consumer if driver and not driver.mute else None
        suite, extra = (consumer.suite, consumer.packages) if consumer else ("", ())
        extra = (*extra, *(name for name in more if name not in extra))
        return guest_image(arch, self.store, self.settings, self.notice, suite=suite, extra=extra)

    def program(self, source: Path, arch: Arch) -> Path:
        """A small static C program for guests of `arch`."""
        return build_program(source, arch, self.store, self.settings, self.notice)

    def _own_program(self, name: str, arch: Arch) -> bytes:
        return self.program(RECIPES / "programs" / f"{name}.c", arch).read_bytes()

    def spec(self, prepared: Prepared) -> MachineSpec:
        """The specification of that cell's machines."""
        return MachineSpec(
            arch=prepared.cell.arch,
            acceleration=prepared.acceleration,
            kernel=prepared.kernel.image,
            initrd=prepared.initrd,
            root=prepared.image.disk,
            memory_mib=self.settings.memory_mib,
            cpus=self.settings.cpus,
            cpu_features=self.settings.cpu_features,
        )

    def payload(self, prepared: Prepared) -> dict[str, CpioFile]:
        """What a machine of that cell is given when it boots, by its path in PAYLOAD."""
        payload = {"bin/lab-agent": CpioFile(prepared.agent, 0o755)}
        if prepared.driver:
            payload |= driver_payload(prepared.driver, prepared.programs)
        return payload

    def machine(self, prepared: Prepared, purpose: str, spec: MachineSpec | None = None) -> Machine:
        """A machine of that cell: not started yet, and its driver not loaded."""
        run_dir, payload = self.settings.run_dir, self.payload(prepared)
        return Machine(spec or self.spec(prepared), prepared.qemu, run_dir, payload=payload, purpose=purpose)

    def deploy(self, machine: Machine, prepared: Prepared) -> Deployment:
        """The cell's driver, loaded in that machine: a fork has it already."""
        assert prepared.driver is not None, "the cell has no driver"  # noqa: S101 - a caller's mistake
        if isinstance(machine, Fork):
            return resume(machine, prepared.driver, machine.template.clock)
        return deploy(machine, prepared.driver)
