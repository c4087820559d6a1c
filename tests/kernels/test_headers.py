"""A build tree out of packages is whole, and says itself when it is compiled for across."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.arches import ARM64
from lab.errors import ArchiveError, UnsupportedError
from lab.kernels import headers as module
from lab.kernels.headers import BuildTree, build_tree, set_cross
from tests.images.test_initrd import kernel
from tests.support.fixtures import SUITES, Bench
from tests.support.kernels import add_debian_kernel

RELEASE, VERSION = "6.1.0-56-amd64", "6.1.192-2"
KBUILD = f"linux-kbuild-{VERSION}"
TOLD = """override ARCH = arm64
ifneq ($(DEB_BUILD_ARCH),$(DEB_HOST_ARCH))
override CROSS_COMPILE = $(DEB_HOST_GNU_TYPE)-
endif
"""
SAYS = "override ARCH = arm64\noverride CROSS_COMPILE = aarch64-linux-gnu-\n"


def add_kbuild(bench: Bench, version: str) -> None:
    programs = {f"usr/lib/{KBUILD}/scripts/basic/fixdep": f"of {version}"}
    bench.archive.add("trixie", KBUILD, version, programs, "pahole, libc6 (>= 2.38), libssl3t64 | libssl3")


def tree_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> BuildTree:
    monkeypatch.setattr(module, "Sources", bench.sources)
    found = bench.resolve("6.1").fetch()
    return build_tree(found, bench.store, bench.settings(), bench.notices.append)


def test_the_tree_has_kbuilds_newest_programs_where_its_links_lead(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_debian_kernel(bench.archive, "trixie", RELEASE, VERSION)
    add_kbuild(bench, "6.1.170-1")
    add_kbuild(bench, VERSION)
    bench.archive.publish(*SUITES)
    tree = tree_of(bench, monkeypatch)
    assert (tree.path, tree.compiler, tree.suite) == (f"/usr/src/linux-headers-{RELEASE}", "gcc-14", "trixie")
    assert tree.packages == ("libc6", "libssl3t64", "pahole")
    sources = tree.mounts["/usr/src"]
    assert (sources / KBUILD / "scripts/basic/fixdep").read_text() == f"of {VERSION}"
    assert (sources / f"linux-headers-{RELEASE}/Makefile").is_file()
    assert (sources / f"linux-headers-{VERSION}-common/Makefile").is_file()


def test_links_to_kbuild_are_turned_to_where_it_is(tmp_path: Path) -> None:
    tree = tmp_path / "usr/src/linux-headers-x"
    (tmp_path / "usr/lib/linux-kbuild-6.1/scripts").mkdir(parents=True)
    tree.mkdir(parents=True)
    (tree / "scripts").symlink_to("../../lib/linux-kbuild-6.1/scripts")
    (tree / "other").symlink_to("../../lib/elsewhere")
    module._gather(tmp_path)
    assert (tree / "scripts").resolve() == tmp_path / "usr/src/linux-kbuild-6.1/scripts"
    assert str((tree / "other").readlink()) == "../../lib/elsewhere"


def test_without_kbuild_the_package_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    add_debian_kernel(bench.archive, "trixie", RELEASE, VERSION)
    bench.archive.publish(*SUITES)
    with pytest.raises(ArchiveError, match=f"no {KBUILD} for amd64"):
        tree_of(bench, monkeypatch)


def test_a_kernel_without_headers_says_why(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="a test"):
        build_tree(kernel(tmp_path), bench.store, bench.settings(), bench.notices.append)


@pytest.mark.parametrize(("before", "added"), [(TOLD, True), (SAYS, False)])
def test_a_tree_that_must_be_told_what_to_compile_with_says_it_itself(tmp_path: Path, before: str, added: bool) -> None:
    variables = tmp_path / ".kernelvariables"
    variables.write_text(before)
    set_cross(variables, ARM64)
    line = "override CROSS_COMPILE = aarch64-linux-gnu-\n"
    assert variables.read_text() == before + (line if added else "")


def test_a_tree_without_debians_variables_is_left_alone(tmp_path: Path) -> None:
    set_cross(tmp_path / ".kernelvariables", ARM64)
    assert list(tmp_path.iterdir()) == []
