"""A kernel is found where kernels lie, and what is no kernel for this architecture is said to be none."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from lab.arches import AMD64, ARM64, RISCV64, Arch
from lab.errors import RequestError
from lab.kernels.local.bootfile import Form, config_in, read_bootfile
from lab.kernels.local.look import look
from tests.support.bootfiles import build_tree, bzimage, plain_image, put, vmlinux, zboot

REL = "6.12.7-lab"
MODULE = b"\x7fELF a module"


@pytest.mark.parametrize(
    ("content", "form", "arch"),
    [
        (bzimage(REL), Form.BZIMAGE, "amd64"),
        (bzimage(REL, bits=32), Form.BZIMAGE, "i386"),
        (plain_image(REL), Form.IMAGE, "arm64"),
        (plain_image(REL, "riscv64"), Form.IMAGE, "riscv64"),
        (gzip.compress(plain_image(REL)), Form.GZIP, "arm64"),
        (gzip.compress(plain_image(REL, "riscv64")), Form.GZIP, "riscv64"),
        (zboot(plain_image(REL)), Form.ZBOOT, "arm64"),
        (zboot(plain_image(REL, "riscv64"), 0x5064), Form.ZBOOT, "riscv64"),
        (vmlinux(REL), Form.ELF, "amd64"),
    ],
)
def test_an_image_says_what_it_is(tmp_path: Path, content: bytes, form: Form, arch: str) -> None:
    path = tmp_path / "named-as-nothing"
    path.write_bytes(content.ljust(1024, b"\0"))
    image = read_bootfile(path)
    assert image is not None
    assert (image.form, image.arch, image.release, image.problem) == (form, arch, REL, "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4096,
        b"HdrS" * 1024,
        bzimage(REL)[:0x230],
        gzip.compress(b"no kernel" * 1000)[:600].ljust(700, b"\0"),
        vmlinux(REL, banner=False),
        b"#!/bin/sh\n" * 100,
    ],
)
def test_what_is_no_image_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vmlinuz"
    path.write_bytes(content)
    assert read_bootfile(path) is None


def test_a_vmlinux_is_for_amd64_only(tmp_path: Path) -> None:
    put(tmp_path, {"boot/vmlinux": vmlinux(REL)})
    assert look(tmp_path, AMD64).image.form is Form.ELF
    put(tmp_path, {"boot/vmlinux": vmlinux(REL, machine=183)})
    with pytest.raises(RequestError, match="for amd64 only") as caught:
        look(tmp_path, ARM64)
    assert "Image" in caught.value.hint


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lambda data: gzip.compress(data) + b"\x10\x27\0\0"])
def test_the_configuration_is_read_out_of_a_packed_image(tmp_path: Path, pack: type[bytes]) -> None:
    config = b"CONFIG_BPF=y\n"
    kernel = b"\x7fELF" + b"x" * 5000 + b"IKCFG_ST" + gzip.compress(config) + b"IKCFG_ED" + b"y" * 100
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(REL, payload=pack(kernel)))
    assert config_in(path) == config
    path.write_bytes(bzimage(REL, payload=pack(b"a kernel without")))
    assert config_in(path) is None


def test_a_build_tree_has_all_in_its_place(tmp_path: Path) -> None:
    build_tree(tmp_path, REL)
    files: dict[str, bytes | str] = {"arch/x86/boot/bzImage": bzimage(REL), "vmlinux": vmlinux(REL)}
    put(tmp_path, {**files, "modules.order": "drivers/a.ko\n", "drivers/a.ko": MODULE})
    found = look(tmp_path, AMD64)
    assert found.image.path == tmp_path / "arch/x86/boot/bzImage"
    assert (found.release, found.modules, found.config) == (REL, tmp_path, tmp_path / ".config")
    assert (found.tree, found.no_headers, found.compiler) == (tmp_path, "", "gcc-12")


def test_a_build_tree_without_modules_has_none(tmp_path: Path) -> None:
    put(build_tree(tmp_path, REL), {"arch/x86/boot/bzImage": bzimage(REL), "modules.order": ""})
    assert look(tmp_path, AMD64).modules is None


def test_a_build_elsewhere_is_a_build_tree_too(tmp_path: Path) -> None:
    sources = put(tmp_path / "src", {"Makefile": "", "include/linux/sched.h": "", "arch/arm64/Makefile": ""})
    out = build_tree(tmp_path / "out", REL, arch="arm64")
    (out / "source").symlink_to(sources)
    put(out, {"arch/arm64/boot/Image": plain_image(REL)})
    found = look(out, ARM64)
    assert (found.image.form, found.tree, found.no_headers) == (Form.IMAGE, out, "")
    sources.rename(tmp_path / "moved")
    assert f"are not there ({sources})" in look(out, ARM64).no_headers


def test_a_tree_that_was_not_built_yet_says_what_to_build(tmp_path: Path) -> None:
    build_tree(tmp_path, REL)
    with pytest.raises(RequestError, match="without a bootable image") as caught:
        look(tmp_path, AMD64)
    assert "make bzImage" in caught.value.hint


@pytest.mark.parametrize("lib", ["lib", "usr/lib"])
def test_an_unpacked_package_is_found_with_its_headers(tmp_path: Path, lib: str) -> None:
    put(
        tmp_path,
        {
            f"boot/vmlinuz-{REL}": bzimage(REL),
            f"boot/config-{REL}": "CONFIG_GCC_VERSION=140200\n",
            f"boot/System.map-{REL}": "0 T a\n",
            f"{lib}/modules/{REL}/modules.builtin": "",
        },
    )
    tree = build_tree(tmp_path / f"usr/src/linux-headers-{REL}", REL)
    found = look(tmp_path, AMD64)
    assert found.modules == tmp_path / lib / "modules" / REL
    assert found.config == tmp_path / f"boot/config-{REL}"
    assert (found.tree, found.compiler) == (tree, "gcc-14")


def test_a_kernel_of_7_3_lies_with_its_modules(tmp_path: Path) -> None:
    place = f"usr/lib/modules/{REL}"
    put(tmp_path, {f"{place}/vmlinuz": bzimage(REL), f"{place}/config": "CONFIG_BPF=y\n", f"{place}/modules.order": ""})
    found = look(tmp_path, AMD64)
    assert (found.image.path, found.config) == (tmp_path / place / "vmlinuz", tmp_path / place / "config")
    assert found.modules == tmp_path / place


def test_a_folder_with_an_image_and_a_config_is_enough(tmp_path: Path) -> None:
    put(tmp_path, {"bzImage": bzimage(REL), "config": "CONFIG_BPF=y\n", "README": "hello"})
    found = look(tmp_path, AMD64)
    assert (found.release, found.modules, found.config, found.tree) == (REL, None, tmp_path / "config", None)
    assert "looked for" in found.no_headers
    assert f"usr/src/linux-headers-{REL}" in found.no_headers


def test_a_kernel_may_lie_some_folders_deeper(tmp_path: Path) -> None:
    put(tmp_path, {"bin/busybox": "", f"data/kernels/6.12/boot/vmlinuz-{REL}": bzimage(REL)})
    put(tmp_path, {f"data/kernels/6.12/lib/modules/{REL}/kernel/a.ko": MODULE})
    assert look(tmp_path, AMD64).modules == tmp_path / "data/kernels/6.12/lib/modules" / REL


def test_an_image_of_two_kinds_and_a_link_are_one_kernel(tmp_path: Path) -> None:
    put(tmp_path, {f"boot/vmlinux-{REL}": vmlinux(REL), f"boot/vmlinuz-{REL}": bzimage(REL)})
    (tmp_path / "boot/vmlinuz").symlink_to(f"vmlinuz-{REL}")
    assert look(tmp_path, AMD64).image.path.name == f"vmlinuz-{REL}"


def test_of_several_kernels_none_is_taken_and_all_are_told(tmp_path: Path) -> None:
    put(tmp_path, {"boot/vmlinuz-6.1.1": bzimage("6.1.1"), "boot/vmlinuz-5.10.2": bzimage("5.10.2")})
    with pytest.raises(RequestError, match=r"2 kernels for amd64 .*: 5\.10\.2, 6\.1\.1"):
        look(tmp_path, AMD64)


def test_of_several_kernels_the_one_for_the_architecture_is_taken(tmp_path: Path) -> None:
    put(tmp_path, {"vmlinuz-6.1.1": bzimage("6.1.1"), "Image-6.1.2": plain_image("6.1.2")})
    assert look(tmp_path, AMD64).release == "6.1.1"
    assert look(tmp_path, ARM64).release == "6.1.2"


@pytest.mark.parametrize(
    ("content", "arch", "said"),
    [
        (bzimage(REL), ARM64, "is for amd64, not for arm64"),
        (plain_image(REL), RISCV64, "is for arm64, not for riscv64"),
        (gzip.compress(plain_image(REL, "riscv64")), AMD64, "is for riscv64, not for amd64"),
        (zboot(plain_image(REL)), AMD64, "is for arm64, not for amd64"),
        (bzimage(REL, bits=32), AMD64, "is for i386, not for amd64"),
    ],
)
def test_a_kernel_of_another_architecture_is_refused_naming_both(
    tmp_path: Path, content: bytes, arch: Arch, said: str
) -> None:
    put(tmp_path, {"vmlinuz": content.ljust(1024, b"\0")})
    with pytest.raises(RequestError, match=said):
        look(tmp_path, arch)


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    put(tmp_path, {"boot/vmlinuz-6.1": "no kernel", "a/b": ""})
    with pytest.raises(RequestError, match="there is no kernel in") as caught:
        look(tmp_path, AMD64)
    assert "vmlinuz, bzImage, Image" in caught.value.hint


def test_modules_of_another_kernel_are_not_taken(tmp_path: Path) -> None:
    put(tmp_path, {"boot/vmlinuz-6.1.1": bzimage("6.1.1"), "lib/modules/6.1.2/kernel/a.ko": MODULE})
    with pytest.raises(RequestError, match=r"kernel 6\.1\.1, and the modules beside it are of 6\.1\.2"):
        look(tmp_path, AMD64)


def test_the_release_is_the_images_own_and_otherwise_the_names(tmp_path: Path) -> None:
    put(tmp_path / "a", {"vmlinuz-9.9.9": bzimage("6.1.1")})
    assert look(tmp_path / "a", AMD64).release == "6.1.1"
    nameless = bzimage("", banner="")
    put(tmp_path / "b", {"vmlinuz-6.1.2-b": nameless})
    assert look(tmp_path / "b", AMD64).release == "6.1.2-b"
    put(tmp_path / "c", {"vmlinuz": nameless, "lib/modules/6.1.3-c/modules.builtin": ""})
    assert look(tmp_path / "c", AMD64).release == "6.1.3-c"
    put(tmp_path / "d", {"vmlinuz": nameless})
    with pytest.raises(RequestError, match="nothing tells the release"):
        look(tmp_path / "d", AMD64)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (("Module.symvers", "include/generated/autoconf.h"), "is not built"),
        (("scripts/basic/fixdep",), "lacks kbuild's own programs"),
        (("arch/x86/Makefile", "arch/x86"), "is not for amd64"),
    ],
)
def test_a_tree_that_nothing_can_be_compiled_against_says_why(
    tmp_path: Path, spoil: tuple[str, ...], reason: str
) -> None:
    put(tmp_path, {f"boot/vmlinuz-{REL}": bzimage(REL)})
    tree = build_tree(tmp_path / f"usr/src/linux-headers-{REL}", REL)
    for name in spoil:
        (tree / name).rmdir() if (tree / name).is_dir() else (tree / name).unlink()
    found = look(tmp_path, AMD64)
    assert found.tree is None
    assert reason in found.no_headers
    assert found.no_headers.endswith(f"nothing can be compiled for kernel {REL}")


def test_a_tree_of_another_kernel_or_host_is_not_compiled_against(tmp_path: Path) -> None:
    put(tmp_path, {f"boot/vmlinuz-{REL}": bzimage(REL), f"lib/modules/{REL}/modules.builtin": ""})
    (tmp_path / f"lib/modules/{REL}/build").symlink_to(build_tree(tmp_path / "old", "6.12.6"))
    assert "is of 6.12.6" in look(tmp_path, AMD64).no_headers
    build_tree(tmp_path / "old", REL, machine=8)
    assert "do not run on" in look(tmp_path, AMD64).no_headers
    build_tree(tmp_path / "old", REL)
    assert look(tmp_path, AMD64).tree == tmp_path / "old"


def test_programs_that_lie_outside_of_what_is_mounted_are_said_to(tmp_path: Path) -> None:
    put(tmp_path, {f"boot/vmlinuz-{REL}": bzimage(REL)})
    tree = build_tree(tmp_path / f"usr/src/linux-headers-{REL}", REL)
    (tmp_path / "usr/lib").mkdir()
    (tree / "scripts").rename(tmp_path / "usr/lib/scripts")
    (tree / "scripts").symlink_to("../../lib/scripts")
    assert "lie elsewhere" in look(tmp_path, AMD64).no_headers


@pytest.mark.parametrize(
    ("config", "banner", "compiler"),
    [
        ("CONFIG_GCC_VERSION=80300\nCONFIG_CLANG_VERSION=0\n", "", "gcc-8"),
        ("CONFIG_GCC_VERSION=0\nCONFIG_CLANG_VERSION=170006\n", "", "clang-17"),
        ("CONFIG_BPF=y\n", "(gcc version 7.3.1 20180712 (Red Hat 7.3.1-6) (GCC)) #1", "gcc-7"),
        ("CONFIG_BPF=y\n", "(gcc-10 (Debian 10.2.1-6) 10.2.1 20210110, GNU ld) #1", "gcc-10"),
        ("CONFIG_BPF=y\n", "(x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0, GNU ld) #1", "gcc-14"),
        ("CONFIG_BPF=y\n", "(gcc (GCC) 12.2.0, GNU ld version 2.39) #1", "gcc-12"),
        ("CONFIG_BPF=y\n", "(clang version 18.1.8, LLD 18.1.8) #1", "clang-18"),
        ("CONFIG_BPF=y\n", "#1 SMP", ""),
    ],
)
def test_the_compiler_is_what_the_kernel_says(tmp_path: Path, config: str, banner: str, compiler: str) -> None:
    put(tmp_path, {"vmlinuz": bzimage(REL, banner=banner), "config": config})
    assert look(tmp_path, AMD64).compiler == compiler


def test_a_tree_that_clang_built_is_not_compiled_against(tmp_path: Path) -> None:
    build_tree(tmp_path, REL, config="CONFIG_CLANG_VERSION=170006\n")
    put(tmp_path, {"arch/x86/boot/bzImage": bzimage(REL)})
    found = look(tmp_path, AMD64)
    assert found.tree is None
    assert "clang-17" in found.no_headers


def test_an_old_kernel_needs_nothing_that_came_later(tmp_path: Path) -> None:
    put(tmp_path, {"boot/vmlinuz-4.14.1": bzimage("4.14.1"), "boot/config-4.14.1": "# CONFIG_OVERLAY_FS is not set\n"})
    assert look(tmp_path, AMD64).release == "4.14.1"
