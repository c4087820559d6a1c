"""Kernels of one's own: used where they lie, and another kernel as soon as something of them changed."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.arches import AMD64, ARM64, RISCV64
from lab.errors import RequestError
from lab.kernels.headers import build_tree as builders_tree
from lab.kernels.kernel import Kernel, LocalTree
from lab.kernels.local.provider import LocalKernels
from lab.settings import Settings
from lab.store import Store, file_digest
from tests.support.bootfiles import build_tree, bzimage, plain_image, put

REL = "6.12.7-lab"


@pytest.fixture
def source(tmp_path: Path) -> LocalKernels:
    return LocalKernels(Store(tmp_path / "store"), Settings(), lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A kernel as packages install it, with a tree to compile against."""
    made = put(
        tmp_path / "my kernel",
        {
            f"boot/vmlinuz-{REL}": bzimage(REL),
            f"boot/config-{REL}": "CONFIG_GCC_VERSION=120200\nCONFIG_BPF=y\n",
            f"lib/modules/{REL}/kernel/a.ko": b"a module",
            f"lib/modules/{REL}/modules.builtin": "",
        },
    )
    build_tree(made / f"usr/src/linux-headers-{REL}", REL)
    return made


def fetch(source: LocalKernels, folder: Path) -> Kernel:
    return source.resolve(f"path:{folder}", AMD64).fetch()


def test_a_kernel_is_used_where_it_lies_and_says_what_it_is(source: LocalKernels, folder: Path) -> None:
    choice = source.resolve(f"path:{folder}", AMD64)
    kernel = choice.fetch()
    digest = file_digest(folder / f"boot/vmlinuz-{REL}")
    assert (choice.release, choice.version, choice.origin) == (REL, f"sha256:{digest[:12]}", "path")
    assert kernel.image == folder / f"boot/vmlinuz-{REL}"
    assert kernel.modules == folder / f"lib/modules/{REL}"
    assert (kernel.release, kernel.series, kernel.origin) == (REL, "6.12", "path")
    assert (kernel.exact, kernel.version) == (f"path:{folder}", choice.version)
    assert kernel.request.startswith("path-")
    assert set(kernel.request) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert kernel.provenance == {
        "path": str(folder),
        "sha256": digest,
        "version": f"{REL} (lab@test) #1 SMP",
        "release": REL,
    }
    assert isinstance(kernel.headers, LocalTree)
    assert (kernel.headers.folder.name, kernel.headers.compiler) == (f"linux-headers-{REL}", "gcc-12")
    assert kernel.option("BPF") == "y"


def test_a_path_may_be_relative_or_begin_at_home(
    source: LocalKernels, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert source.resolve("path:my kernel", AMD64).folder == folder
    monkeypatch.setenv("HOME", str(folder.parent))
    assert source.resolve("path:~/my kernel", AMD64).folder == folder


@pytest.mark.parametrize("text", ["path:", "path:no/such/folder", "6.12"])
def test_a_path_that_leads_nowhere_says_how_one_is_written(source: LocalKernels, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        source.resolve(text, AMD64)
    assert "path:DIR" in caught.value.hint


def test_a_file_is_no_folder(source: LocalKernels, folder: Path) -> None:
    with pytest.raises(RequestError, match="is no folder"):
        source.resolve(f"path:{folder}/boot/vmlinuz-{REL}", AMD64)


def _rewrite(path: Path) -> None:
    """Other content of the same size and the same time."""
    info, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (f"boot/vmlinuz-{REL}", _rewrite),
        (f"boot/config-{REL}", _rewrite),
        (f"lib/modules/{REL}/kernel/a.ko", _touch),
        (f"lib/modules/{REL}/kernel/a.ko", Path.unlink),
        (f"usr/src/linux-headers-{REL}/Module.symvers", _rewrite),
        (f"usr/src/linux-headers-{REL}/include/linux/sched.h", _touch),
    ],
)
def test_what_changes_in_a_kernel_makes_it_another(
    source: LocalKernels, folder: Path, place: str, change: Callable[[Path], None]
) -> None:
    before = fetch(source, folder)
    assert fetch(source, folder).key == before.key
    change(folder / place)
    assert fetch(source, folder).key != before.key


def test_only_what_is_compiled_against_makes_other_builds(source: LocalKernels, folder: Path) -> None:
    def tree() -> str:
        headers = fetch(source, folder).headers
        assert isinstance(headers, LocalTree)
        return headers.key

    before = tree()
    _rewrite(folder / f"boot/vmlinuz-{REL}")
    put(folder / f"usr/src/linux-headers-{REL}", {"include/linux/sched.o": "an object"})
    assert tree() == before
    put(folder / f"usr/src/linux-headers-{REL}", {"include/linux/new.h": ""})
    assert tree() != before


def test_trees_of_packages_are_mounted_where_they_would_be_installed(source: LocalKernels, folder: Path) -> None:
    tree = builders_tree(fetch(source, folder), Store(folder / "store"), Settings(), lambda _: None)
    assert tree.path == f"/usr/src/linux-headers-{REL}"
    assert tree.mounts == {"/usr/src": folder / "usr/src"}
    assert tree.compiler == "gcc-12"


def test_a_build_elsewhere_changes_with_its_sources(source: LocalKernels, tmp_path: Path) -> None:
    sources = put(tmp_path / "src", {"Makefile": "", "include/linux/sched.h": "", "arch/x86/Makefile": ""})
    out = put(build_tree(tmp_path / "out", REL), {"arch/x86/boot/bzImage": bzimage(REL)})
    (out / "source").symlink_to(sources)
    before = fetch(source, out)
    tree = builders_tree(before, Store(tmp_path / "other"), Settings(), lambda _: None)
    assert tree.mounts == {str(out): out, str(sources): sources}
    _touch(sources / "include/linux/sched.h")
    assert fetch(source, out).key != before.key


def test_what_qemu_cannot_read_packed_is_unpacked_into_the_store(source: LocalKernels, tmp_path: Path) -> None:
    plain = plain_image(REL, "riscv64", more=b"IKCFG_ST" + gzip.compress(b"CONFIG_BPF=y\n") + b"IKCFG_ED")
    put(tmp_path / "k", {"Image.gz": gzip.compress(plain).ljust(1024, b"\0")})
    kernel = source.resolve(f"path:{tmp_path / 'k'}", RISCV64).fetch()
    assert kernel.image.is_relative_to(tmp_path / "store")
    assert kernel.image.read_bytes() == plain
    assert kernel.option("BPF") == "y"


def test_the_configuration_comes_out_of_the_image_where_no_file_has_it(source: LocalKernels, tmp_path: Path) -> None:
    image = plain_image(REL, more=b"IKCFG_ST" + gzip.compress(b"CONFIG_KGDB=y\n") + b"IKCFG_ED")
    put(tmp_path / "with", {"Image": image})
    kernel = source.resolve(f"path:{tmp_path / 'with'}", ARM64).fetch()
    assert kernel.image == tmp_path / "with/Image"
    assert kernel.option("KGDB") == "y"
    put(tmp_path / "without", {"Image": plain_image(REL)})
    assert source.resolve(f"path:{tmp_path / 'without'}", ARM64).fetch().config is None
