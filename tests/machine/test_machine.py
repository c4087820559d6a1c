"""Machines: what they answer, how they end, and how they are told from dead ones."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from lab.errors import CommandTimeoutError, MachineLostError
from lab.images.cpio import CpioFile, cpio_archive
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.machines.record import living, start_time
from lab.matrix.provision import Lab, Prepared


def test_a_guest_runs_the_kernel_that_was_asked_for(booted: Machine, bare: Prepared) -> None:
    assert booted.run(["uname", "-r"]).text.strip() == bare.kernel.release


def test_a_command_has_its_arguments_output_and_status(fork: Fork) -> None:
    result = fork.run(["sh", "-c", 'printf %s "$1"; echo oops >&2; exit 7', "sh", "a 'b\" $c"], check=False)
    assert (result.stdout, result.stderr, result.status) == (b"a 'b\" $c", b"oops\n", 7)


def test_a_failing_command_says_what_it_printed(fork: Fork) -> None:
    with pytest.raises(AssertionError, match="no-such-file"):
        fork.run(["cat", "/no-such-file"])


def test_large_input_arrives_whole(fork: Fork) -> None:
    data = bytes(range(256)) * 2048
    fork.write("/work/large", data)
    assert fork.run(["cat", "/work/large"]).stdout == data


def test_a_program_may_answer_while_it_is_still_being_fed(fork: Fork) -> None:
    data = bytes(range(256)) * (3 << 12)
    assert fork.run(["cat"], stdin=data).stdout == data


def test_a_program_that_reads_late_gets_all_of_its_input(fork: Fork) -> None:
    data = bytes(range(256)) * (3 << 12)
    assert fork.run(["sh", "-c", "sleep 1; cat"], stdin=data).stdout == data


def test_the_root_is_disposable_and_work_is_no_overlay(fork: Fork) -> None:
    fork.run(["touch", "/etc/written"])
    assert fork.run(["stat", "-f", "-c", "%T", "/work"]).text.strip() == "tmpfs"


def test_nothing_leaves_the_guest(fork: Fork) -> None:
    route = fork.run(["busybox", "timeout", "3", "busybox", "nc", "-w", "2", "10.0.2.2", "22"], check=False)
    assert route.status != 0


def test_the_console_is_recorded_from_the_first_line(booted: Machine) -> None:
    assert b"Linux version" in booted.console.read()
    first = booted.console.file.read_bytes().splitlines()[0]
    assert first[:3].replace(b":", b"").isdigit(), "no host time before the line"


def test_a_command_that_hangs_is_told_from_a_guest_that_hangs(fork: Fork) -> None:
    with pytest.raises(CommandTimeoutError, match="sleep 1000"):
        fork.run(["sleep", "1000"], deadline=0.2)
    assert fork.run(["echo", "alive"]).text == "alive\n"
    fork.monitor.execute("stop")
    with pytest.raises(MachineLostError, match="hangs"):
        fork.run(["true"], deadline=0.2)


def test_a_panic_is_a_lost_machine_that_can_still_be_looked_at(booted: Machine) -> None:
    with pytest.raises(MachineLostError, match="sysrq triggered crash"):
        booted.run(["sh", "-c", "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"])
    assert not booted.alive()
    assert "RIP" in booted.registers()


def test_a_killed_qemu_is_a_lost_machine(fork: Fork, lab: Lab) -> None:
    record = next(record for record in living(lab.settings.run_dir) if record.name == fork.folder.name)
    fork.monitor.execute("human-monitor-command", {"command-line": "info status"})
    os.kill(record.pid, 9)
    with pytest.raises(MachineLostError):
        fork.run(["true"])


def test_an_ended_machine_leaves_nothing(fork: Fork, lab: Lab) -> None:
    record = next(record for record in living(lab.settings.run_dir) if record.name == fork.folder.name)
    fork.end()
    assert start_time(record.pid) == 0
    assert not fork.folder.path.exists()


def test_a_panic_on_boot_is_a_lost_machine_with_its_last_words(lab: Lab, bare: Prepared) -> None:
    with lab.machine(bare, "test") as machine:
        machine.spec = dataclasses.replace(machine.spec, cmdline=("rdinit=/no-such-init", "root=/dev/none"))
        with pytest.raises(MachineLostError, match="Kernel panic - not syncing"):
            machine.start()


def test_a_guest_that_hangs_on_boot_meets_its_deadline(lab: Lab, bare: Prepared, tmp_path: Path) -> None:
    busybox = bare.image.busybox.read_bytes()
    init = b"#!/bin/busybox sh\nwhile :; do /bin/busybox sleep 1000; done\n"
    files = {"init": CpioFile(init, 0o755), "bin/busybox": CpioFile(busybox, 0o755)}
    (tmp_path / "initrd").write_bytes(cpio_archive(files, ("dev",)))
    with lab.machine(bare, "test") as machine:
        machine.spec = dataclasses.replace(machine.spec, initrd=tmp_path / "initrd")
        with pytest.raises(MachineLostError, match="did not come up within"):
            machine.start(deadline=1.0)


def test_a_qemu_that_does_not_start_is_a_lost_machine_with_its_own_words(lab: Lab, bare: Prepared) -> None:
    with lab.machine(bare, "test") as machine:
        machine.spec = dataclasses.replace(machine.spec, cpus=100_000)
        with pytest.raises(MachineLostError, match="CPUs"):
            machine.start()
        assert not machine.answers_monitor()
        assert machine.console_tail()
