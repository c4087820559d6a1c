"""What the doctor makes of facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.cli import checks
from lab.cli.checks import State
from lab.errors import HostError, LabError
from lab.machines.accel import Accel, Acceleration
from lab.machines.qemu import Qemu
from lab.process import Completed
from lab.settings import Settings

SETTINGS = Settings(store=Path("/store"), run_dir=Path("/machines"), min_free_mib=1024, memory_mib=768)
QEMU = Qemu(("qemu",), (), "10.0.1", "the lab's own", "a-key")


def test_a_line_has_what_stands_how_and_the_command_that_mends_it() -> None:
    line = checks.Finding("memory", State.LACKS, "too little", "buy some").line()
    assert line.split() == ["lacks", "memory", "too", "little", "->", "buy", "some"]
    assert "->" not in checks.Finding("memory", State.OK, "enough").line()


def test_a_qemu_that_is_not_fetched_yet_is_no_lack() -> None:
    assert checks.own_qemu(QEMU).state is State.OK
    missing = checks.own_qemu(None)
    assert (missing.state, missing.mend) == (State.NOTE, "lab doctor --fetch")


def test_the_hosts_qemu_is_optional() -> None:
    assert "10.0.1" in checks.host_qemu(QEMU, "install it").text
    assert checks.host_qemu(None, "install it") == checks.Finding(
        "QEMU, the host's", State.NOTE, "none; the lab does not need it", "install it"
    )


@pytest.mark.parametrize(
    ("acceleration", "accel", "state", "mend"),
    [
        (Acceleration(Accel.KVM, "a probe ran"), "auto", State.OK, ""),
        (Acceleration(Accel.TCG, "the host has no /dev/kvm"), "auto", State.NOTE, ""),
        (
            Acceleration(Accel.TCG, "/dev/kvm cannot be opened: Permission denied"),
            "auto",
            State.NOTE,
            "sudo usermod -aG kvm me, then log in again",
        ),
        (Acceleration(Accel.TCG, "a probe hung"), "kvm", State.LACKS, "LAB_ACCEL=auto emulates"),
        (None, "auto", State.NOTE, "lab doctor --fetch"),
    ],
)
def test_kvm(acceleration: Acceleration | None, accel: str, state: State, mend: str) -> None:
    found = checks.kvm(acceleration, SETTINGS.model_copy(update={"accel": accel}), "me")
    assert (found.state, found.mend) == (state, mend)
    if acceleration:
        assert acceleration.why in found.text


@pytest.mark.parametrize(("free", "state"), [(1023, State.LACKS), (1024, State.NOTE), (8192, State.OK)])
def test_disk_space_of_the_store(free: int, state: State) -> None:
    found = checks.store_disk(free, SETTINGS)
    assert found.state is state
    assert f"{free} MiB free at /store" in found.text


@pytest.mark.parametrize(("free", "state"), [(255, State.LACKS), (256, State.OK)])
def test_disk_space_of_machines(free: int, state: State) -> None:
    assert checks.machines_disk(free, SETTINGS).state is state


@pytest.mark.parametrize(("available", "state"), [(959, State.LACKS), (960, State.OK)])
def test_memory(available: int, state: State) -> None:
    assert checks.memory(available, SETTINGS).state is state


def test_available_memory_is_read_from_the_kernels_table() -> None:
    assert checks.available_mib("MemTotal:  4096000 kB\nMemAvailable:   2048000 kB\n") == 2000
    with pytest.raises(LabError, match="MemAvailable"):
        checks.available_mib("MemTotal:  4096000 kB\n")


def test_a_missing_keyring_is_lacking(tmp_path: Path) -> None:
    assert checks.keyring(tmp_path / "keys.gpg", "install it").mend == "install it"
    (tmp_path / "keys.gpg").touch()
    assert checks.keyring(tmp_path / "keys.gpg", "install it").state is State.OK


def test_missing_programs_are_named_with_one_command_for_their_packages() -> None:
    def find(name: str) -> str:
        if name != "there":
            raise HostError(f"{name} is not installed")
        return name

    found = checks.programs({"a1": "a", "a2": "a", "b": "b", "there": "c"}, find, "apt-get install")
    assert (found.state, found.mend) == (State.LACKS, "apt-get install a b")
    assert found.text == "a1, a2, b are not installed"
    assert checks.programs({"there": "c"}, find, "apt-get install").state is State.OK


def test_a_program_that_is_there_and_does_not_work_is_lacking() -> None:
    def refused(argv: Sequence[str]) -> Completed:
        return Completed(tuple(argv), 1, b"", b"setting up uid map:\nPermission denied\n")

    found = checks.trial("builders", ["/usr/bin/bwrap"], refused, mend="sysctl")
    assert (found.state, found.mend) == (State.LACKS, "sysctl")
    assert found.text == "bwrap does not work: setting up uid map: Permission denied"


def test_a_program_that_cannot_be_tried_is_lacking() -> None:
    def hangs(_: Sequence[str]) -> Completed:
        raise LabError("bwrap did not end within 5 s", hint="wait")

    found = checks.trial("builders", ["bwrap"], hangs, mend="sysctl")
    assert (found.state, found.text, found.mend) == (State.LACKS, "bwrap did not end within 5 s", "wait")


def test_a_program_that_works() -> None:
    found = checks.trial("builders", ["bwrap"], lambda argv: Completed(tuple(argv), 0, b"", b""), mend="sysctl")
    assert (found.state, found.mend) == (State.OK, "")


@pytest.mark.parametrize(
    ("expired", "waived", "state", "mend"),
    [
        ("", False, State.OK, ""),
        ("past its date; taken, its signature is good", True, State.NOTE, ""),
        ("past its date; taken, its signature is good", False, State.LACKS, "LAB_ALLOW_EXPIRED=1 takes it"),
    ],
)
def test_an_archive_that_answers(expired: str, waived: bool, state: State, mend: str) -> None:
    found = checks.archive("main", "http://archive", "0123456789ABCDEF0123", expired, waived)
    assert (found.subject, found.state, found.mend) == ("archive, main", state, mend)
    assert ("taken" in found.text) is (state is State.NOTE)


def test_machines_that_were_left_are_told() -> None:
    assert checks.machines(0, 0).text == "none running"
    assert checks.machines(2, 1).text == "1 running; removed 2 that killed runs had left"


def test_libvirt_is_never_lacking() -> None:
    assert checks.libvirt("libvirt 11.3.0", "", "install it").state is State.OK
    assert checks.libvirt(None, "virsh is not installed", "install it").state is State.NOTE
