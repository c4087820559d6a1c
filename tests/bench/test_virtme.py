"""virtme-ng is found with all it needs or it is said what is missing; its guests get what the lab's have. `vng` is a
script here; tests/machine has the real one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import arches
from lab.arches import AMD64, ARM64, RISCV64
from lab.bench import virtme
from lab.bench.virtme import Virtme, VirtmeGuest, command
from lab.errors import HostError, LabError, RequestError
from lab.machines.accel import Accel, Acceleration
from lab.machines.qemu import Qemu
from lab.machines.spec import MachineSpec

RELEASE = "6.12.117+deb13-amd64"
SPEC = MachineSpec(AMD64, Acceleration(Accel.TCG, ""), Path("k"), Path("i"), Path("r"), memory_mib=768, cpus=2)
# Tells what it was given and found, then ends with the statuses in the file, one after the other.
VNG = """#!/bin/sh
printf '%s\\n' "$@" "HOME=$HOME" "in=$PWD" >"{folder}/given"
ls -R . >"{folder}/found"
./qemu -smp 2 >>"{folder}/given"
read -r status rest <"{folder}/statuses"
echo "$rest" >"{folder}/statuses"
echo "the guest's last words" >&2
exit "$status"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name in ("vmlinuz", "busybox", "config"):
        (tmp_path / name).write_text("")
    (tmp_path / "config").write_text("CONFIG_9P_FS=m\nCONFIG_NET_9P_VIRTIO=m\nCONFIG_VIRTIO_CONSOLE=y\n")
    program(tmp_path / "vng", VNG.format(folder=tmp_path))
    program(tmp_path / "depmod", f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/depmod-given\n')
    (tmp_path / "modules" / "kernel").mkdir(parents=True)
    (tmp_path / "modules" / "build").mkdir()
    for name in ("modules.order", "modules.dep"):
        (tmp_path / "modules" / name).write_text("")
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def prepared(folder: Path, *, modules: bool = True) -> Any:
    options = dict(line.removeprefix("CONFIG_").split("=") for line in (folder / "config").read_text().split())
    kernel = SimpleNamespace(
        release=RELEASE,
        series="6.12",
        image=folder / "vmlinuz",
        modules=folder / "modules" if modules else None,
        config=folder / "config",
        option=options.get,
    )
    image = SimpleNamespace(busybox=folder / "busybox")
    qemu = Qemu(("echo", "a qemu", "-L", "a folder"), (("A", "b c"),), "10.0.13", "a test", "a-key")
    return SimpleNamespace(kernel=kernel, image=image, qemu=qemu)


def guest(folder: Path, statuses: str, **more: bool) -> VirtmeGuest:
    (folder / "statuses").write_text(statuses)
    return VirtmeGuest(Virtme(folder / "vng", "1.42"), prepared(folder, **more), SPEC, folder / "laid out")


def test_a_guest_has_the_labs_qemu_cpu_and_memory() -> None:
    words = command(Virtme(Path("/a/vng"), "1.42"), SPEC, RELEASE)
    assert words == [
        *("/a/vng", "--disable-kvm", "--qemu-opts=-cpu max,-cx16", "--qemu", "./qemu", "--busybox", "./busybox"),
        *("--cpus", "2", "--memory", "768M", "--run", f"boot/vmlinuz-{RELEASE}"),
    ]


def test_where_the_lab_has_kvm_it_has_too() -> None:
    words = command(Virtme(Path("/a/vng"), "1.42"), replace(SPEC, acceleration=Acceleration(Accel.KVM, "")), RELEASE)
    assert "--disable-kvm" not in words
    assert not any("-cpu" in word.split() for word in words)


def test_it_runs_where_a_system_with_that_kernel_is_laid_out(folder: Path) -> None:
    failed: list[str] = []
    assert guest(folder, "0").run(["true"], failed.append) > 0
    assert failed == []
    given = (folder / "given").read_text().splitlines()
    assert given[-4:] == ["true", f"HOME={folder}/laid out", f"in={folder}/laid out", "a qemu -L a folder -smp 2"]
    place = folder / "laid out"
    assert (place / f"boot/vmlinuz-{RELEASE}").resolve() == folder / "vmlinuz"
    assert (place / "busybox").resolve() == folder / "busybox"


def test_modules_are_links_and_what_depmod_makes_lies_beside_them(folder: Path) -> None:
    guest(folder, "0")
    modules = folder / "laid out/lib/modules" / RELEASE
    assert sorted(path.name for path in modules.iterdir()) == ["kernel", "modules.order"]
    assert (modules / "kernel").resolve() == folder / "modules/kernel"
    assert (folder / "depmod-given").read_text().split("\n")[:4] == ["-a", "-b", f"{folder}/laid out", RELEASE]


def test_a_kernel_that_has_all_built_in_needs_no_modules(folder: Path) -> None:
    guest(folder, "0", modules=False)
    assert not (folder / "laid out/lib").exists()


def test_one_that_fails_is_told_and_run_again(folder: Path) -> None:
    failed: list[str] = []
    guest(folder, "255 0", modules=False).run(["true"], failed.append)
    assert len(failed) == 1
    assert failed[0].startswith("status 255 after ")
    assert failed[0].endswith("the guest's last words")


def test_three_in_a_row_that_fail_are_an_error(folder: Path) -> None:
    with pytest.raises(LabError, match=r"virtme-ng could not run true in a guest 3 times: status 7 .*last words"):
        guest(folder, "255 255 7 0", modules=False).run(["true"], lambda _: None)


def test_a_kernel_without_9p_is_refused_and_one_with_it_named(folder: Path) -> None:
    (folder / "config").write_text("CONFIG_VIRTIO_CONSOLE=y\n")
    with pytest.raises(RequestError, match="has no 9P_FS, NET_9P_VIRTIO") as told:
        guest(folder, "0")
    assert told.value.hint == "--kernel 6.12-full"


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python environment without vng, and a PATH with nothing."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(virtme, "which", lambda name, package: str(tmp_path / name) if package else "")
    return tmp_path


@pytest.mark.usefixtures("nothing")
def test_without_virtme_ng_the_command_that_mends_it_is_named() -> None:
    with pytest.raises(HostError, match=r"^virtme-ng \(vng\) is not installed\nNext: tools/setup bench$"):
        virtme.find(arches.host())


def test_without_its_programs_the_command_that_mends_it_is_named(
    nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(nothing / "vng", "#!/bin/sh\necho virtme-ng 1.42\n")

    def missing(name: str, *, package: str) -> str:
        raise HostError(f"{name} is not installed", hint=f"apt-get install {package}")

    monkeypatch.setattr(virtme, "which", missing)
    with pytest.raises(HostError, match=r"virtme-ng needs modprobe, which is not installed\nNext: tools/setup bench"):
        virtme.find(arches.host())


def test_without_the_hosts_udev_it_is_not_run(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(nothing / "vng", "#!/bin/sh\necho virtme-ng 1.42\n")
    monkeypatch.setattr(virtme, "_UDEVD", (nothing / "udevd",))
    with pytest.raises(HostError, match="need the host's udev"):
        virtme.find(arches.host())
    (nothing / "udevd").touch()
    assert virtme.find(arches.host()) == Virtme(nothing / "vng", "1.42")


def test_its_guests_are_of_the_hosts_architecture() -> None:
    other = next(arch for arch in (ARM64, RISCV64) if arch is not arches.host())
    with pytest.raises(RequestError, match=f"not {other.name}"):
        virtme.find(other)
