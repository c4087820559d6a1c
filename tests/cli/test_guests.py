"""`lab run` and `lab shell` on real machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli.main import main
from lab.errors import ExitCode
from lab.machines.record import living
from tests.cli.terminal import Person, person

pytestmark = pytest.mark.machine

LAB = str(Path(sys.executable).with_name("lab"))


@pytest.fixture(autouse=True)
def run_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of machines of this test's own, in which nothing may stay."""
    folder = tmp_path_factory.mktemp("run", numbered=True)
    folder.chmod(0o700)
    monkeypatch.setenv("LAB_RUN_DIR", str(folder))
    yield folder
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


@pytest.fixture
def at_the_shell() -> Iterator[Person]:
    """Somebody who has started `lab shell` and sees the guest's prompt."""
    with person([LAB, "shell"]) as someone:
        someone.wait_for(b"no driver")
        someone.wait_for(b"# ")
        yield someone


def test_run_has_the_guests_output_and_status(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]) == 7
    said = capfdbinary.readouterr()
    assert said.out == b"out\n"
    assert said.err.splitlines()[-1] == b"err"


def test_run_needs_no_dashes_and_runs_the_kernel_that_was_asked_for(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["run", "--kernel", "6.12", "uname", "-r"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"6.12.")


def test_run_gives_standard_input_when_asked() -> None:
    done = subprocess.run([LAB, "run", "-i", "--", "cat"], input=b"a\0b", capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, b"a\0b")


def test_run_of_a_command_killed_by_a_signal_is_128_and_its_number() -> None:
    assert main(["run", "--", "sh", "-c", "kill -9 $$"]) == 137


def test_run_past_its_deadline_is_the_labs_failure(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["run", "--deadline", "1", "--", "sleep", "1000"]) == ExitCode.RUN_FAILED
    assert b"sleep 1000 did not end within 1 s" in capfdbinary.readouterr().err


def test_run_that_loses_its_machine_shows_the_consoles_end(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["run", "--", "sh", "-c", "echo c > /proc/sysrq-trigger"]) == ExitCode.RUN_FAILED
    said = capfdbinary.readouterr().err
    assert b"sysrq triggered crash" in said
    assert b"Last on its console:" in said


def test_run_of_a_command_that_kills_the_labs_agent_says_so(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["run", "--", "sh", "-c", 'kill -9 "$PPID"; sleep 1000']) == ExitCode.RUN_FAILED
    assert b"the lab's agent in the guest was killed" in capfdbinary.readouterr().err


def test_run_ends_with_its_reader() -> None:
    with subprocess.Popen([LAB, "run", "--", "yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.read(2) == b"y\n"
        program.stdout.close()
        assert program.wait(60) == 141
        assert b"Traceback" not in program.stderr.read()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_run_cleans_up_when_it_is_ended(number: signal.Signals, status: int) -> None:
    argv = [LAB, "run", "--", "sh", "-c", "echo here; exec sleep 1000"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"here\n"
        program.send_signal(number)
        try:
            assert program.wait(60) == status
        finally:
            program.kill()


def test_shell_is_a_terminal_in_the_guest(at_the_shell: Person) -> None:
    at_the_shell.type(b"uname -r\r")
    at_the_shell.wait_for(b"6.12.")
    at_the_shell.type(b"tty; stty size\r")
    at_the_shell.wait_for(b"/dev/pts/")
    at_the_shell.wait_for(b"24 80")
    at_the_shell.type(b"exit 5\r")
    assert at_the_shell.leave() == ExitCode.OK


def test_shell_follows_the_windows_size(at_the_shell: Person) -> None:
    at_the_shell.type(b"until stty size | grep '33 101'; do sleep 0.1; done\r")
    at_the_shell.wait_for(b"done\r\n")
    at_the_shell.resize(101, 33)
    at_the_shell.wait_for(b"33 101\r\n", 10)


def test_shell_hands_every_key_over_and_puts_the_terminal_back() -> None:
    with person([LAB, "shell"]) as someone:
        before = someone.modes()
        someone.wait_for(b"# ")
        assert someone.modes() != before
        # The quotes keep the echo of what is typed from looking like what is printed. The trap is set before the word
        # comes: a shell that is about to start a program may lose a Ctrl-C.
        someone.type(b"sh -c 'trap exit INT; echo run\"\"ning; while :; do sleep 1; done'\r")
        someone.wait_for(b"running")
        someone.type(b"\x03")
        someone.wait_for(b"# ")
        someone.type(b"\x04")
        assert someone.leave() == ExitCode.OK
        assert someone.modes() == before


def test_shell_can_be_left_while_the_guest_is_busy(at_the_shell: Person) -> None:
    at_the_shell.type(b"sleep 1000\r")
    at_the_shell.wait_for(b"sleep 1000")
    at_the_shell.type(b"\x1d")
    assert at_the_shell.leave() == ExitCode.OK


def test_shell_notices_a_crash(at_the_shell: Person) -> None:
    at_the_shell.type(b"echo c > /proc/sysrq-trigger\r")
    assert at_the_shell.leave() == ExitCode.MACHINE_LOST
    assert b"sysrq triggered crash" in at_the_shell.seen


def test_shell_notices_that_its_machine_was_killed(at_the_shell: Person, run_dir: Path) -> None:
    (record,) = living(run_dir)
    os.kill(record.pid, 9)
    assert at_the_shell.leave() == ExitCode.MACHINE_LOST
    assert b"Traceback" not in at_the_shell.seen


def test_shell_without_a_terminal_runs_its_standard_input() -> None:
    done = subprocess.run([LAB, "shell"], input=b"echo $((6 * 7))\n", capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, b"42\n")


def test_shell_has_the_driver_loaded() -> None:
    argv = [LAB, "shell", "--driver", "falco:kmod"]
    done = subprocess.run(argv, input=b"cut -d' ' -f1 /proc/modules\n", capture_output=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert b"scap\n" in done.stdout
