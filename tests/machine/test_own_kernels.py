"""Kernels that come from no archive boot, and drivers are compiled for them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import arches
from lab.drivers.build import build_driver
from lab.drivers.manifest import find_driver
from lab.images.builder import builder_root
from lab.images.cpio import CpioFile, cpio_archive
from lab.images.features import read_features
from lab.images.initrd import make_initrd, plan_modules, unpack_module
from lab.images.recipe import RECIPES
from lab.kernels.headers import build_tree
from lab.kernels.kernel import Kernel, LocalTree
from lab.kernels.local import vmlinux
from lab.kernels.local.bootfile import plain_kernel
from lab.kernels.local.provider import LocalKernels
from lab.kernels.oci.provider import OciKernels
from lab.machines.machine import Machine
from lab.matrix.provision import Lab, Prepared
from lab.store import Store
from tests.support.registry import Registry, layer, lvh_files, registry

PVH = Path(vmlinux.__file__).parent / "pvh"
WARNS = Path(__file__).parents[1] / "support/drivers/warns/driver.toml"


@contextmanager
def running(lab: Lab, bare: Prepared, kernel: Kernel) -> Iterator[Machine]:
    """A guest like the bare one, of that kernel."""
    initrd = make_initrd(kernel, bare.image.busybox, lab.store, lab.notice)
    with lab.machine(dataclasses.replace(bare, kernel=kernel, initrd=initrd), "test") as machine:
        machine.start()
        yield machine


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry") / "data") as made:
        yield made


@pytest.fixture
def unpacked(lab: Lab, bare: Prepared, tmp_path: Path) -> Path:
    """A folder with the default kernel as its packages lay it out, headers too."""
    tree = build_tree(bare.kernel, lab.store, lab.settings, lab.notice)
    files = bare.kernel.image.parent.parent
    (tmp_path / "usr").mkdir()
    (tmp_path / "boot").symlink_to(files / "boot")
    (tmp_path / "usr/lib").symlink_to(files / "usr/lib")
    (tmp_path / "usr/src").symlink_to(tree.mounts["/usr/src"])
    return tmp_path


def modules_that_a_guest_needs(kernel: Kernel) -> dict[str, bytes]:
    """The modules that the lab's initrd would hold, plain, by their path below the kernel's folder."""
    assert kernel.modules is not None
    wanted = read_features(RECIPES / "initrd" / "features.toml").names()
    return {
        f"lib/modules/{kernel.release}/{place.partition('.ko')[0]}.ko": unpack_module(kernel.modules / place)
        for place in plan_modules(kernel.modules, wanted).files
    }


def test_a_kernel_in_a_folder_boots_with_a_driver_compiled_for_it(lab: Lab, bare: Prepared, unpacked: Path) -> None:
    kernel = LocalKernels(lab.store, lab.settings, lab.notice).resolve(f"path:{unpacked}", arches.AMD64).fetch()
    assert isinstance(kernel.headers, LocalTree), kernel.no_headers
    assert kernel.headers.compiler == "gcc-14"
    built = build_driver(find_driver(f"{WARNS}:kmod"), kernel, lab.store, lab.settings, lab.notice)
    with running(lab, bare, kernel) as machine:
        assert machine.run(["uname", "-r"]).text.strip() == kernel.release == bare.kernel.release
        assert built.module is not None
        machine.write("/work/warns.ko", built.module.read_bytes())
        machine.run(["insmod", "/work/warns.ko"])
        assert "asked to warn" in machine.run(["dmesg"]).text


def test_a_kernel_published_by_little_vm_helper_boots(
    lab: Lab, bare: Prepared, served: Registry, tmp_path: Path
) -> None:
    kernel = bare.kernel
    boot: dict[str, bytes | str] = {f"boot/vmlinuz-{kernel.release}": kernel.image.read_bytes()}
    files = lvh_files("6.12", {**boot, **modules_that_a_guest_needs(kernel)})
    served.push("lvh-images/kernel-images", "6.12-main", [layer(files)])
    text = f"oci:{served.host}/lvh-images/kernel-images:6.12-main"
    fetched = OciKernels(Store(tmp_path / "store"), lab.settings, lab.notice).resolve(text, arches.AMD64).fetch()
    with running(lab, bare, fetched) as machine:
        assert machine.run(["uname", "-r"]).text.strip() == fetched.release == kernel.release


def test_a_kernel_published_by_falcos_kernel_testing_boots(
    lab: Lab, bare: Prepared, served: Registry, tmp_path: Path
) -> None:
    kernel = bare.kernel
    initrd = cpio_archive({name: CpioFile(data) for name, data in modules_that_a_guest_needs(kernel).items()})
    files: dict[str, bytes | str] = {"boot/vmlinux": plain_kernel(kernel.image), "boot/initrd": initrd}
    served.push("kernel-testing/debian-kernel", "6.12-x86_64-main", [layer({**files, "lib/modules/.placeholder": ""})])
    text = f"oci:{served.host}/kernel-testing/debian-kernel:6.12-x86_64-main"
    fetched = OciKernels(Store(tmp_path / "store"), lab.settings, lab.notice).resolve(text, arches.AMD64).fetch()
    assert fetched.image.read_bytes()[:4] == b"\x7fELF"
    with running(lab, bare, fetched) as machine:
        assert machine.run(["uname", "-r"]).text.strip() == fetched.release == kernel.release


def test_the_entry_for_a_plain_vmlinux_is_what_its_source_says(lab: Lab, tmp_path: Path) -> None:
    builder = builder_root("programs", lab.store, lab.settings, lab.notice)
    shutil.copy(PVH / "entry.S", tmp_path)
    for command in (
        ["as", "--64", "entry.S", "-o", "entry.o"],
        ["objcopy", "-O", "binary", "-j", ".text", "entry.o", "entry.bin"],
    ):
        assert builder.run(command, work=tmp_path, deadline=60).status == 0
    assert (tmp_path / "entry.bin").read_bytes() == (PVH / "entry.bin").read_bytes()
