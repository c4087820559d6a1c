"""A template is keyed on everything that it was made from: each of these is changed alone, and the key with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.arches import AMD64, ARM64
from lab.drivers import deploy
from lab.drivers.build import DriverBuild
from lab.drivers.manifest import DRIVERS, find_driver
from lab.images.root import Image, guest_image
from lab.kernels.kernel import Kernel
from lab.machines import template as templates
from lab.machines.accel import Accel, Acceleration
from lab.machines.qemu import Qemu, own_qemu
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared
from lab.settings import Settings
from lab.store import Entry, key_of

Change = Callable[["Bench"], None]


class Bench:
    """A cell whose parts are small files: `prepared` and `settings` may be changed, and so may the files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(DRIVERS / "falco", folder / "driver")
        for name in ("kernel", "initrd", "root", "scap.ko"):
            (folder / name).write_text(name)
        self.settings = Settings(store=folder / "store")
        driver = find_driver(f"{folder / 'driver' / 'driver.toml'}:kmod")
        self.prepared = Prepared(
            cell=Cell("6.12", AMD64, "falco:kmod"),
            kernel=cast(Kernel, SimpleNamespace(image=folder / "kernel")),
            image=Image("guest", AMD64, folder / "root", folder / "busybox", "an image", {}),
            initrd=folder / "initrd",
            qemu=Qemu(("qemu",), (), "10.0.13", "the lab's own", "a binary"),
            acceleration=Acceleration(Accel.TCG, "a test"),
            driver=DriverBuild(driver, {"module": folder / "scap.ko"}, "a build", {}),
            programs={"lab-sentinel": b"sentinel"},
            agent=b"agent",
        )

    def key(self) -> str:
        return key_of(Forks(Lab(self.settings, lambda _: None)).inputs(self.prepared))

    def set(self, **parts: Any) -> None:
        self.prepared = replace(self.prepared, **parts)

    def configure(self, **values: Any) -> None:
        self.settings = self.settings.model_copy(update=values)

    def write(self, name: str, text: str = "another") -> None:
        (self.folder / name).write_text(text)

    def edit_manifest(self, old: str, new: str) -> None:
        path = self.folder / "driver" / "driver.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        self.set(driver=replace(self.build, driver=find_driver(f"{path}:kmod")))

    def move(self) -> None:
        """Everything lies somewhere else, as it is."""
        there = self.folder / "there"
        there.mkdir()
        for name in ("kernel", "initrd", "root", "scap.ko", "driver"):
            shutil.move(self.folder / name, there / name)
        self.configure(store=there / "store", run_dir=there / "machines")
        self.set(
            kernel=cast(Kernel, SimpleNamespace(image=there / "kernel")),
            initrd=there / "initrd",
            image=replace(self.prepared.image, disk=there / "root"),
            qemu=replace(self.prepared.qemu, command=("/another/qemu",)),
            driver=replace(
                self.build,
                driver=find_driver(f"{there}/driver/driver.toml:kmod"),
                files={"module": there / "scap.ko"},
            ),
        )

    @property
    def build(self) -> DriverBuild:
        assert self.prepared.driver is not None
        return self.prepared.driver


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


CHANGES: dict[str, Change] = {
    "QEMU's version": lambda it: it.set(qemu=replace(it.prepared.qemu, version="10.0.14")),
    "QEMU's binary": lambda it: it.set(qemu=replace(it.prepared.qemu, key="another binary")),
    "the architecture": lambda it: it.set(cell=Cell("6.12", ARM64, "falco:kmod")),
    "the machine": lambda it: it.set(cell=Cell("6.12", replace(AMD64, qemu_machine="q35,hpet=off"), "falco:kmod")),
    "the CPU": lambda it: it.set(cell=Cell("6.12", replace(AMD64, tcg_cpu="max"), "falco:kmod")),
    "the CPU's features": lambda it: it.configure(cpu_features="lpa2=on"),
    "the CPUs": lambda it: it.configure(cpus=1),
    "the memory": lambda it: it.configure(memory_mib=1024),
    "the kernel": lambda it: it.write("kernel"),
    "the initrd": lambda it: it.write("initrd"),
    "the image": lambda it: it.set(image=replace(it.prepared.image, key="another image")),
    "the driver's module": lambda it: it.write("scap.ko"),
    "the driver's build": lambda it: it.set(driver=replace(it.build, key="another build")),
    "how the driver is loaded": lambda it: it.edit_manifest('"insmod", "{module}"', '"insmod", "{module}", "x=1"'),
    "the consumer's command": lambda it: it.edit_manifest('"sysdig", "-E"', '"sysdig"'),
    "the consumer's sentinels": lambda it: it.edit_manifest('["open", "openat"]', '["openat"]'),
    "the adapter": lambda it: it.write("driver/adapter.py", "# another"),
    "the sentinel": lambda it: it.set(programs={"lab-sentinel": b"another"}),
    "the agent": lambda it: it.set(agent=b"another"),
    "no driver": lambda it: it.set(driver=None),
    "the acceleration": lambda it: it.set(acceleration=Acceleration(Accel.KVM, "a test")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_part_makes_another_key(bench: Bench, what: str) -> None:
    before = bench.key()
    assert bench.key() == before
    CHANGES[what](bench)
    assert bench.key() != before


def test_each_change_makes_a_key_of_its_own(tmp_path: Path) -> None:
    keys = {}
    for number, (what, change) in enumerate(CHANGES.items()):
        bench = Bench(tmp_path / str(number))
        change(bench)
        keys[what] = bench.key()
    assert len(set(keys.values())) == len(CHANGES)


def test_where_things_lie_makes_no_other_key(bench: Bench) -> None:
    before = bench.key()
    bench.move()
    assert bench.key() == before


def test_another_way_to_start_a_consumer_makes_another_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.key()
    monkeypatch.setattr(deploy, "_START", "another script")
    assert bench.key() != before


def test_another_kernel_command_line_makes_another_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.key()
    monkeypatch.setattr("lab.machines.spec.kernel_cmdline", lambda _: "another")
    assert bench.key() != before


def test_another_host_makes_another_key_under_kvm_and_only_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> tuple[str, str]:
        found = []
        for kind in (Accel.TCG, Accel.KVM):
            bench.set(acceleration=Acceleration(kind, "a test"))
            found.append(bench.key())
        return found[0], found[1]

    tcg, kvm = keys()
    monkeypatch.setattr(templates, "host_cpu", lambda _: "another CPU")
    assert keys()[0] == tcg
    assert keys()[1] != kvm


@pytest.mark.parametrize("module", ["machines.qemu", "images.root"])
def test_what_was_unpacked_again_out_of_other_packages_is_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    def key(content: str) -> str:
        """The key of what is got from a store in which, for the same wish, there is that content."""
        entry = Entry("a kind", "the same", bench.folder, {"version": "10.0.13", "packages": {}}, content)
        monkeypatch.setattr(f"lab.{module}.get_root", lambda *_: entry)
        lab = Lab(bench.settings, lambda _: None)
        got = own_qemu if module == "machines.qemu" else guest_image
        return got(AMD64, lab.store, bench.settings, lab.notice).key

    assert key("of yesterday's packages") != key("of today's packages")
