"""Commands in real guests: beside each other, past their bounds, and when the lab's own program there is killed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.errors import CommandTimeoutError, MachineLostError
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from tests.support import wait

LONG = 60.0


def running(machine: Machine, name: str) -> list[str]:
    """The numbers of the guest's processes of that name, without those that only wait for init to look at them."""
    return machine.run(["pgrep", "-r", "R,S,D,T", "-x", name], check=False).text.split()


def test_two_commands_run_at_once(fork: Fork) -> None:
    fork.run(["mkfifo", "/work/pipe"])
    with ThreadPoolExecutor() as others:
        reader = others.submit(fork.run, ["cat", "/work/pipe"], deadline=LONG)
        fork.run(["sh", "-c", "echo hello >/work/pipe"])
        assert reader.result(LONG).text == "hello\n"


def test_a_flood_of_output_is_cut_at_its_bound_and_the_guest_lives(fork: Fork) -> None:
    with pytest.raises(CommandTimeoutError, match="yes printed more than 64 MiB"):
        fork.run(["yes"], deadline=LONG)
    wait.until(lambda: not running(fork, "yes"), "the flood's end", LONG)


def test_a_command_killed_at_its_deadline_leaves_no_process(fork: Fork) -> None:
    with pytest.raises(CommandTimeoutError, match="did not end within"):
        fork.run(["sh", "-c", "sleep 1000 & (trap '' TERM INT HUP; sleep 1000); wait"], deadline=0.2)
    wait.until(lambda: not running(fork, "sleep") and not running(fork, "sh"), "the end of all it started", LONG)


def test_the_lab_is_told_when_its_agent_is_killed_and_a_new_one_answers(fork: Fork) -> None:
    (before,) = running(fork, "lab-agent")
    with pytest.raises(MachineLostError, match=r"agent in the guest was killed while .*kill -9.* ran"):
        fork.run(["sh", "-c", 'kill -9 "$PPID"; sleep 1000'])
    assert fork.alive()
    assert fork.run(["cat"], stdin=bytes(1 << 18)).stdout == bytes(1 << 18)
    (after,) = running(fork, "lab-agent")
    assert after != before


def test_a_guest_whose_every_process_was_killed_still_answers(fork: Fork) -> None:
    with pytest.raises(MachineLostError, match="agent in the guest was killed"):
        fork.run(["sh", "-c", "kill -9 -1; sleep 1000"])
    assert fork.run(["echo", "alive"]).text == "alive\n"


def test_a_command_ended_by_a_signal_has_its_number(fork: Fork) -> None:
    assert fork.run(["sh", "-c", "kill -9 $$"], check=False).status == -9
    with pytest.raises(AssertionError, match="was ended by signal 15"):
        fork.run(["sh", "-c", "kill $$"])


def test_a_guest_has_no_ssh_server_before_somebody_wants_a_terminal(fork: Fork) -> None:
    assert running(fork, "dropbear") == []
    assert fork.run(["test", "-e", "/root/.ssh"], check=False).status == 1
    with fork.shell().interactive(80, 24, "vt100") as terminal:
        terminal.settimeout(LONG)
        terminal.sendall(b"echo $((6 * 7))-$(umask)\n")
        said, end = b"", time.monotonic() + LONG
        while b"42-0022" not in said and time.monotonic() < end:
            said += terminal.recv(1 << 16)
    assert b"42-0022" in said
    assert len(running(fork, "dropbear")) >= 1
    assert fork.shell() is fork.shell()
    assert fork.run(["stat", "-c", "%a", "/run/lab/hostkey", "/root/.ssh"]).text.split() == ["600", "700"]
