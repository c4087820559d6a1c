"""What a driver can be built for is known before anything is built, and what it is built with is the kernel's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lab.arches import AMD64, ARM64, RISCV64, Arch, host
from lab.drivers.build import demand_supported
from lab.drivers.manifest import DriverMode, find_driver
from lab.drivers.work import compiler_package, make_variables
from lab.errors import UnsupportedError
from lab.kernels.headers import BuildTree
from lab.kernels.kernel import LocalTree
from tests.images.test_initrd import kernel

OPTIONS = ("MODULES", "TRACEPOINTS", "HAVE_SYSCALL_TRACEPOINTS")


@pytest.fixture
def falco() -> DriverMode:
    return find_driver("falco:kmod")


def built_for(folder: Path, *, options: tuple[str, ...] = OPTIONS, **changed: Any) -> Any:
    """A kernel that the driver can be built for, but for what is changed."""
    (folder / "config").write_text("".join(f"CONFIG_{name}=y\n" for name in options))
    tree = LocalTree(folder, "gcc-14", "key")
    return dataclasses.replace(kernel(folder), config=folder / "config", headers=tree, **changed)


def test_a_kernel_with_everything_is_supported(falco: DriverMode, tmp_path: Path) -> None:
    demand_supported(falco, built_for(tmp_path))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_kernel_without_an_option_that_the_driver_needs_is_unsupported_by_its_name(
    falco: DriverMode, tmp_path: Path, option: str
) -> None:
    others = tuple(name for name in OPTIONS if name != option)
    with pytest.raises(UnsupportedError, match=f"lacks CONFIG_{option}, which falco:kmod needs"):
        demand_supported(falco, built_for(tmp_path, options=others))


def test_a_kernel_without_headers_says_what_is_missing(falco: DriverMode, tmp_path: Path) -> None:
    why = "the archive no longer has linux-headers-6.16"
    bare = dataclasses.replace(built_for(tmp_path), headers=None, no_headers=why)
    with pytest.raises(UnsupportedError, match=f"{why}: nothing can be compiled for it"):
        demand_supported(falco, bare)


@pytest.mark.parametrize(("arch", "series"), [(RISCV64, "4.19"), (ARM64, "3.10")])
def test_a_kernel_older_than_the_manifest_says_is_unsupported(
    falco: DriverMode, tmp_path: Path, arch: Arch, series: str
) -> None:
    with pytest.raises(UnsupportedError, match=f"or newer on {arch.name}"):
        demand_supported(falco, built_for(tmp_path, arch=arch, series=series))


def test_an_architecture_that_the_manifest_does_not_name_is_unsupported(falco: DriverMode, tmp_path: Path) -> None:
    other = dataclasses.replace(AMD64, name="s390x")
    with pytest.raises(UnsupportedError, match="does not support s390x"):
        demand_supported(falco, built_for(tmp_path, arch=other))


@pytest.mark.parametrize("arch", [ARM64, RISCV64])
def test_another_architecture_is_compiled_for_by_the_kernels_compiler_across(arch: Arch) -> None:
    tree = BuildTree("/usr/src/x", {}, "gcc-12", "bookworm", (), "key")
    assert arch != host()
    assert compiler_package(tree, arch) == f"gcc-12-{arch.triplet}"
    variables = make_variables(arch, "gcc-12")
    assert variables == {
        "ARCH": arch.kbuild,
        "CROSS_COMPILE": f"{arch.triplet}-",
        "CC": f"{arch.triplet}-gcc-12",
    }


def test_the_hosts_own_architecture_needs_no_cross_compiler() -> None:
    tree = BuildTree("/usr/src/x", {}, "gcc-12", "bookworm", (), "key")
    assert compiler_package(tree, host()) == "gcc-12"
    assert make_variables(host(), "gcc-12")["CC"] == "gcc-12"
