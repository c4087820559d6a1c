"""What a driver can be built for is known before anything is built, and what it is built with is the kernel's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lab.arches import AMD64, ARM64, RISCV64, Arch, host
from lab.drivers.build import as_expected, demand_supported
from lab.drivers.gaps import Gap
from lab.drivers.manifest import DriverMode, find_driver
from lab.drivers.work import compiler_package, make_variables
from lab.errors import BuildError, KnownGapError, UnsupportedError
from lab.kernels.headers import BuildTree
from lab.kernels.kernel import LocalTree
from lab.store import Entry
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


GAP = Gap(build="'task_euid'", why="it is gone", upstream="example#1", kernels=">=7")
BROKEN = BuildError("mine:kmod does not build for 7.3.4: x.c:1:2: error: implicit declaration of 'task_euid'")


def expected(falco: DriverMode, folder: Path, outcome: BuildError | None, **changed: Any) -> None:
    """Let a build end so, where the manifest lists GAP."""

    def build() -> Entry:
        if outcome:
            raise outcome
        return Entry("driver", "key", folder, {}, "content")

    mode = falco.mode.model_copy(update={"gaps": (GAP,)})
    series = changed.pop("series", "7.3")
    as_expected(dataclasses.replace(falco, mode=mode, **changed), built_for(folder, series=series), build)


def test_a_build_that_fails_as_the_manifest_says_is_a_known_gap(falco: DriverMode, tmp_path: Path) -> None:
    with pytest.raises(KnownGapError, match=r"'task_euid' \(it is gone \(example#1\)\)"):
        expected(falco, tmp_path, BROKEN)


def test_of_files_that_are_compiled_side_by_side_any_may_be_the_first_to_fail(
    falco: DriverMode, tmp_path: Path
) -> None:
    log = tmp_path / "build.log"
    gone, other = "x.c:1:2: error: implicit declaration of 'task_euid'\n", "y.c:3:4: error: something else\n"
    failed, waits = "make[2]: *** [Makefile:1: it] Error 1\n", "make[2]: *** Waiting for unfinished jobs....\n"
    log.write_text(other + failed + waits + gone + failed)
    with pytest.raises(KnownGapError, match="something else"):
        expected(falco, tmp_path, BuildError("mine:kmod does not build: something else", log=log))
    log.write_text(gone + failed + other + failed + waits + other + failed)  # a probe first
    with pytest.raises(BuildError, match="something else"):
        expected(falco, tmp_path, BuildError("mine:kmod does not build: something else", log=log))


def test_a_build_that_fails_otherwise_is_an_error(falco: DriverMode, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="another"):
        expected(falco, tmp_path, BuildError("another"))
    with pytest.raises(BuildError, match="task_euid"):
        expected(falco, tmp_path, BROKEN, series="6.12")


def test_a_build_that_succeeds_where_the_manifest_says_that_it_does_not_is_an_error(
    falco: DriverMode, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=r"the manifest of falco:kmod lists that it does not build .*, and it does"):
        expected(falco, tmp_path, None)
    expected(falco, tmp_path, None, series="6.12")


def test_of_other_sources_the_manifest_says_nothing(falco: DriverMode, tmp_path: Path) -> None:
    expected(falco, tmp_path, None, source=tmp_path)
    with pytest.raises(BuildError, match="task_euid"):
        expected(falco, tmp_path, BROKEN, options=("wrong",))


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
