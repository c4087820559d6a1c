"""Modules are loaded with what they need, in the order they need, whatever they are packed with."""

from __future__ import annotations

import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.arches import AMD64
from lab.images.initrd import ModulePlan, depends_of, make_initrd, plan_modules, unpack_module
from lab.kernels.kernel import Kernel
from lab.store import Store
from tests.images.test_cpio import members

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
    ".gz": gzip.compress,
}


def module(name: str, *depends: str) -> bytes:
    """The few bytes of a module that are looked at: its .modinfo."""
    info = ("license=GPL", f"depends={','.join(depends)}", "intree=Y", f"name={name}")
    return b"\x7fELF\x02\x01\x00\xff" + b"".join(word.encode() + b"\0" for word in info)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lib" / "modules" / "6.12"
    (made / "kernel" / "drivers").mkdir(parents=True)
    (made / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/drivers/char/hw_random/rng-core.ko\n")
    return made


def add(folder: Path, name: str, *depends: str, suffix: str = "") -> None:
    data = PACKERS[suffix](module(name, *depends))
    (folder / "kernel" / "drivers" / f"{name}.ko{suffix}").write_bytes(data)


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_module_comes_after_all_it_needs(folder: Path, suffix: str) -> None:
    add(folder, "virtio_net", "net_failover", "virtio", suffix=suffix)
    add(folder, "net_failover", "failover", suffix=suffix)
    add(folder, "failover", suffix=suffix)
    add(folder, "virtio", suffix=suffix)
    add(folder, "unwanted", suffix=suffix)
    plan = plan_modules(folder, ["virtio_net", "virtio"])
    names = [Path(file).name.partition(".")[0] for file in plan.files]
    assert names == ["failover", "net_failover", "virtio", "virtio_net"]
    assert all((folder / file).is_file() for file in plan.files)


def test_dashes_and_underscores_are_the_same(folder: Path) -> None:
    add(folder, "virtio-rng", "rng-core")
    plan = plan_modules(folder, ["virtio_rng", "rng_core"])
    assert plan.files == ("kernel/drivers/virtio-rng.ko",)
    assert plan.loaded == {"virtio_rng"}


def test_what_is_built_in_needs_no_file(folder: Path) -> None:
    assert plan_modules(folder, ["ext4"]) == ModulePlan((), frozenset(), frozenset({"ext4", "rng_core"}))


def test_what_the_kernel_lacks_is_in_no_list(folder: Path) -> None:
    plan = plan_modules(folder, ["no-such"])
    assert "no_such" not in plan.loaded | plan.built_in


@pytest.mark.parametrize("modules", [True, False])
def test_a_kernel_without_a_list_of_what_is_built_in_has_only_its_modules(folder: Path, modules: bool) -> None:
    (folder / "modules.builtin").unlink()
    add(folder, "ext4")
    plan = plan_modules(folder if modules else None, ["ext4"])
    assert (plan.loaded, plan.built_in) == (frozenset({"ext4"} if modules else ()), frozenset())


def test_in_a_build_tree_only_modules_count_as_modules(folder: Path) -> None:
    add(folder, "virtio_net")
    for note in (".virtio_net.ko.cmd", "virtio_net.ko.debug", "virtio_net.ko.xz.tmp"):
        (folder / "kernel" / "drivers" / note).write_text("a note")
    assert plan_modules(folder, ["virtio_net"]).files == ("kernel/drivers/virtio_net.ko",)


def test_a_module_is_loaded_once(folder: Path) -> None:
    add(folder, "a", "c")
    add(folder, "b", "c")
    add(folder, "c")
    assert len(plan_modules(folder, ["a", "b", "c", "a"]).files) == 3


def test_a_needed_module_that_is_built_in_is_left_out(folder: Path) -> None:
    add(folder, "a", "ext4")
    assert plan_modules(folder, ["a"]).files == ("kernel/drivers/a.ko",)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (module("x"), []),
        (module("x", "a", "b-c"), ["a", "b_c"]),
        (b"\0xdepends=a\0", []),
        (b"\0depends=a", []),
    ],
)
def test_only_a_modinfos_own_word_counts(data: bytes, expected: list[str]) -> None:
    assert depends_of(data) == expected


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_packed_module_is_unpacked(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.ko{suffix}"
    path.write_bytes(PACKERS[suffix](b"content"))
    assert unpack_module(path) == b"content"


def quiet(_: str) -> None:
    """Nobody reads what these kernels lack."""


def kernel(folder: Path) -> Kernel:
    return Kernel(
        request="6.12",
        release="6.12",
        version="6.12.1-1",
        series="6.12",
        arch=AMD64,
        flavour="cloud",
        origin="debian:trixie",
        exact="debian/6.12.1-cloud",
        image=folder / "vmlinuz",
        modules=folder,
        config=None,
        headers=None,
        no_headers="a test",
        key="a-kernel",
        provenance={},
    )


def test_an_initrd_holds_its_script_its_shell_and_the_modules_in_order(folder: Path, tmp_path: Path) -> None:
    add(folder, "virtio_net", "failover", suffix=".xz")
    add(folder, "failover", suffix=".zst")
    (tmp_path / "busybox").write_bytes(b"a shell")
    initrd = make_initrd(kernel(folder), tmp_path / "busybox", Store(tmp_path / "store"), quiet)
    found = members(initrd.read_bytes())
    assert found["bin/busybox"] == (0o100755, b"a shell")
    assert found["init"][0] == 0o100755
    modules = {name: data for name, (mode, data) in found.items() if name.startswith("modules/")}
    assert modules == {
        "modules/00-failover.ko": module("failover"),
        "modules/01-virtio_net.ko": module("virtio_net", "failover"),
    }


def test_another_shell_makes_another_initrd(folder: Path, tmp_path: Path) -> None:
    store, made = Store(tmp_path / "store"), set()
    for content in ("one", "two"):
        (tmp_path / "busybox").write_text(content)
        made.add(make_initrd(kernel(folder), tmp_path / "busybox", store, quiet))
    assert len(made) == 2
