"""tap's events are described once, and everything that is made from the description is current."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.drivers.manifest import find_driver
from lab.drivers.parse import read_manifest
from tests.support import tap

generate = tap.generator()


def test_the_generated_files_are_current() -> None:
    for path, text in generate.outputs(tap.FOLDER).items():
        assert path.read_text() == text, f"{path.name} is not current: python drivers/tap/generate.py"


def test_a_change_of_the_description_makes_them_stale(tmp_path: Path) -> None:
    folder = tmp_path / "tap"
    shutil.copytree(tap.FOLDER, folder)
    described = folder / "events.toml"
    described.write_text(described.read_text().replace('"how:data(24)"', '"how:data(32)"'))
    stale = {path.name for path, text in generate.outputs(folder).items() if path.read_text() != text}
    assert stale == {"tap_calls.h"}


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ('args = ["name"]', "is not NAME:KIND"),
        ('args = ["name:cheese"]', "is not NAME:KIND"),
        ('args = ["how:data(256)", "size:int"]', "its size is not 1 to 255"),
        ('args = ["how:data", "size:int"]', "its size is not 1 to 255"),
        ('args = ["a:fd", "a:fd"]', "two of one name"),
        ('args = ["flags:flags(cheese)"]', "there are no flags 'cheese'"),
        ('args = ["name:path"]\nkernel = ["guesses", "name"]', "kernel copies come from"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, call: str, fault: str) -> None:
    shutil.copy(tap.FOLDER / "syscalls.csv", tmp_path)
    (tmp_path / "events.toml").write_text(f"[version]\n[flags]\n[calls.openat]\n{call}\n")
    with pytest.raises(ValueError, match=fault):
        generate.Description.read(tmp_path)


def test_a_call_that_no_abi_has_is_refused(tmp_path: Path) -> None:
    shutil.copy(tap.FOLDER / "syscalls.csv", tmp_path)
    (tmp_path / "events.toml").write_text("[version]\n[flags]\n[calls.opensesame]\nargs = []\n")
    with pytest.raises(ValueError, match="no ABI has it"):
        generate.Description.read(tmp_path)


def test_the_calls_that_the_issue_asks_for_are_typed() -> None:
    typed = {call.name for call in generate.Description.read(tap.FOLDER).calls}
    wanted = """open openat openat2 creat close connect bind accept4 socket sendto execve execveat clone clone3 fork
        vfork exit unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat chmod fchmod fchmodat mount
        umount2 pivot_root chroot ptrace process_vm_writev setuid setns unshare init_module finit_module delete_module
        bpf userfaultfd memfd_create open_by_handle_at io_uring_setup io_uring_enter io_uring_register kill"""
    assert set(wanted.split()) <= typed


def test_every_mode_has_the_wrong_builds_that_it_can_have() -> None:
    modes = read_manifest(tap.FOLDER / "driver.toml").modes
    shared = {"exit-only", "silent-drop", "result", "no-compat", "no-vfork", "path-length"}
    assert set(modes["kmod"].options) == shared | {"leak", "per-cpu", "sleep", "oops"}
    assert set(modes["bpf"].options) == set(modes["modern-bpf"].options) == shared
    assert find_driver("tap+exit-only:bpf").defines == ("-DTAP_WRONG_EXIT_ONLY",)


def test_every_wrong_build_is_in_the_sources() -> None:
    sources = {
        "kmod": [
            path.read_text() for path in (tap.FOLDER / "src/probes").glob("**/*.[ch]") if path.parent.name != "bpf"
        ],
        "bpf": [path.read_text() for path in (tap.FOLDER / "src/probes").glob("**/*.h") if path.parent.name != "kmod"],
    }
    sources["modern-bpf"] = sources["bpf"]
    for name, mode in read_manifest(tap.FOLDER / "driver.toml").modes.items():
        for option in mode.options.values():
            assert any(f"def {option.defines[0]}" in text for text in sources[name]), (name, option.defines)
