"""Acceleration is chosen by what works, and the probe tells the truth."""

from __future__ import annotations

import platform
import re
import shutil
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.arches import AMD64, Arch
from lab.errors import HostError, RequestError
from lab.machines.accel import (
    Accel,
    Acceleration,
    Host,
    Probe,
    Verdict,
    choose,
    judge,
    payload_for,
    probe_argv,
    run_probe,
)
from lab.process import run
from lab.store import Store

QEMU = ("/qemu",)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    device = tmp_path / "kvm"
    device.touch()
    return Host("x86_64", device, "boot-1")


class CountingProbe:
    """A probe with a fixed verdict that counts how often it was asked."""

    def __init__(self, works: bool) -> None:
        self.verdict = Verdict(works, "the probe said so")
        self.calls = 0

    def __call__(self, _arch: Arch, _command: Sequence[str]) -> Verdict:
        self.calls += 1
        return self.verdict


def never(_arch: Arch, _command: Sequence[str]) -> Verdict:
    raise AssertionError("the probe was run")


def halting_payload(folder: Path) -> Path:
    """A Multiboot payload that writes "a" and then does nothing but halt."""
    magic, flags, load = 0x1BADB002, 0x10000, 0x100000
    header = struct.pack("<8I", magic, flags, -(magic + flags) & 0xFFFFFFFF, load, load, 0, 0, load + 32)
    path = folder / "halt.bin"
    path.write_bytes(header + b"\xb0a\xe6\xe9" + b"\xfa\xf4\xeb\xfd")  # mov, out; cli; hlt; jmp to the hlt
    return path


def test_tcg_is_taken_without_asking_the_host(store: Store) -> None:
    chosen = choose("tcg", AMD64, QEMU, store, probe=never)
    assert chosen == Acceleration(Accel.TCG, "requested")


def test_an_unknown_word_is_refused(store: Store) -> None:
    with pytest.raises(RequestError, match="hvf"):
        choose("hvf", AMD64, QEMU, store)


@pytest.mark.parametrize("requested", ["auto", "kvm"])
def test_kvm_is_taken_when_the_probe_passes(store: Store, host: Host, requested: str) -> None:
    assert choose(requested, AMD64, QEMU, store, host=host, probe=CountingProbe(True)).kind is Accel.KVM


def test_auto_emulates_when_the_probe_fails_and_says_why(store: Store, host: Host) -> None:
    chosen = choose("auto", AMD64, QEMU, store, host=host, probe=CountingProbe(False))
    assert chosen == Acceleration(Accel.TCG, "the probe said so")


def test_kvm_that_does_not_work_is_the_hosts_fault(store: Store, host: Host) -> None:
    with pytest.raises(HostError, match="the probe said so") as caught:
        choose("kvm", AMD64, QEMU, store, host=host, probe=CountingProbe(False))
    assert "--accel auto" in caught.value.hint


def obstacles(host: Host) -> dict[str, tuple[Arch, Host]]:
    return {
        "the host is riscv64": (AMD64, replace(host, machine="riscv64")),
        "has no": (AMD64, replace(host, device=host.device.with_name("absent"))),
        "cannot be opened: Is a directory": (AMD64, replace(host, device=host.device.parent)),
        "no probe yet": (replace(AMD64, name="loong64"), host),
    }


@pytest.mark.parametrize("why", ["the host is riscv64", "has no", "cannot be opened: Is a directory", "no probe yet"])
def test_what_makes_kvm_impossible_is_told_without_a_probe(store: Store, host: Host, why: str) -> None:
    arch, other = obstacles(host)[why]
    chosen = choose("auto", arch, QEMU, store, host=other, probe=never)
    assert chosen.kind is Accel.TCG
    assert why in chosen.why
    with pytest.raises(HostError, match=why):
        choose("kvm", arch, QEMU, store, host=other, probe=never)


def ask(store: Store, host: Host, probe: Probe, command: Sequence[str] = QEMU) -> None:
    choose("auto", AMD64, command, store, host=host, probe=probe)


@pytest.mark.parametrize("works", [True, False])
def test_a_verdict_is_kept_for_this_boot_and_this_qemu(store: Store, host: Host, works: bool) -> None:
    probe = CountingProbe(works)
    ask(store, host, probe)
    ask(store, host, probe)
    assert probe.calls == 1
    ask(store, replace(host, boot_id="boot-2"), probe)
    assert probe.calls == 2
    ask(store, host, probe, ("/other/qemu",))
    assert probe.calls == 3


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"works": true}', b"\xff"])
def test_a_damaged_verdict_is_found_out_again(store: Store, host: Host, damage: bytes) -> None:
    probe = CountingProbe(False)
    ask(store, host, probe)
    (kept,) = store.state("kvm").iterdir()
    kept.write_bytes(damage)
    ask(store, host, probe)
    assert probe.calls == 2


def test_deadlines_are_longer_under_emulation() -> None:
    assert Acceleration(Accel.KVM, "").scaled(3) == 3
    assert Acceleration(Accel.TCG, "").scaled(3) == 24


@pytest.mark.parametrize(("kind", "cpu"), [(Accel.KVM, "host"), (Accel.TCG, "max,-cx16")])
def test_the_probe_runs_on_the_cpu_that_guests_get(kind: Accel, cpu: str) -> None:
    argv = probe_argv(["/ld", "/qemu"], AMD64, kind, Path("/p.bin"), Path("/steps"), limit=5)
    assert argv[:5] == ["timeout", "--signal=KILL", "10", "/ld", "/qemu"]
    assert argv[argv.index("-accel") + 1] == kind
    assert argv[argv.index("-cpu") + 1] == cpu
    assert argv[argv.index("-kernel") + 1] == "/p.bin"
    assert "file:/steps" in argv


@pytest.mark.parametrize(
    ("status", "steps", "log", "why"),
    [
        (None, "abcd", "KVM internal error. Suberror: 1\n", "hung at taking exceptions .step d.*KVM internal error"),
        (None, "", "", "hung at starting at all"),
        (None, "Q", "", "an unknown step"),
        (3, "abcde!", "", "no CPU does at writing and reading MSRs"),
        (-6, "", "warning: x\nqemu: error: failed to set MSR 0x10a\n", "status -6.*failed to set MSR 0x10a"),
        (0, "ab", "", "ended with status 0 at making page tables"),
        (0x55, "abc", "", "ended with status 85"),
    ],
)
def test_what_is_not_a_pass_says_where_it_stopped(status: int | None, steps: str, log: str, why: str) -> None:
    verdict = judge(Accel.KVM, status, steps, log, 5)
    assert not verdict.works
    assert re.search(why, verdict.why)


def test_the_last_step_and_the_exit_code_together_are_a_pass() -> None:
    assert judge(Accel.KVM, 0x55, "abcdefghiz", "", 5).works


def test_a_qemu_that_cannot_be_started_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no-qemu"):
        run_probe(AMD64, [str(tmp_path / "no-qemu")], Accel.TCG, payload_for(AMD64))


def test_the_payload_is_what_its_source_says(tmp_path: Path) -> None:
    if platform.machine() != "x86_64" or not (shutil.which("as") and shutil.which("objcopy")):
        pytest.skip("needs as and objcopy of an amd64 host")
    made = payload_for(AMD64)
    run(["as", "--64", made.with_suffix(".S"), "-o", tmp_path / "o"], deadline=30)
    run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "o", tmp_path / "bin"], deadline=30)
    assert (tmp_path / "bin").read_bytes() == made.read_bytes()


@pytest.mark.machine
def test_the_payload_passes_under_emulation(qemu_command: Sequence[str]) -> None:
    verdict = run_probe(AMD64, qemu_command, Accel.TCG, payload_for(AMD64), deadline=60)
    assert verdict.works, verdict.why


@pytest.mark.machine
def test_a_guest_that_only_halts_is_ended_by_the_deadline(qemu_command: Sequence[str], tmp_path: Path) -> None:
    verdict = run_probe(AMD64, qemu_command, Accel.TCG, halting_payload(tmp_path), deadline=2)
    assert not verdict.works
    assert "hung at asking for long mode by cpuid (step a)" in verdict.why
