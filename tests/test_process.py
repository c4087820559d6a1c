"""Programs have deadlines, their output is kept, and they never outlive who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.errors import HostError, LabError, NoSpaceError
from lab.process import Completed, DeadlineError, ProgramFailedError, reading, run, run_shown, spawn, tied, which
from tests.support import wait


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def pid_in(path: Path) -> int:
    wait.until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path.name} being written")
    return int(path.read_text())


def test_output_and_errors_are_kept_apart() -> None:
    done = run(shell("echo out; echo err >&2"), deadline=10)
    assert (done.status, done.stdout, done.stderr, done.text) == (0, b"out\n", b"err\n", "out\n")


def test_what_is_given_on_standard_input_arrives() -> None:
    assert run(["cat"], deadline=10, stdin=b"\x00\xff").stdout == b"\x00\xff"


def test_a_program_that_reads_nothing_of_its_input_does_no_harm() -> None:
    assert run(["true"], deadline=10, stdin=b"x" * 1_000_000).status == 0


def test_without_input_there_is_none() -> None:
    assert run(["cat"], deadline=10).stdout == b""


def test_no_shell_looks_at_the_words() -> None:
    assert run(["echo", "$HOME", "*", ";"], deadline=10).text == "$HOME * ;\n"


def test_messages_come_in_one_language_whatever_the_users_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("KEPT", "kept")
    assert run(shell("echo $LC_ALL $KEPT $MORE"), deadline=10, env={"MORE": "more"}).text == "C.UTF-8 kept more\n"


def test_a_failure_carries_its_last_lines_and_all_its_output() -> None:
    with pytest.raises(ProgramFailedError, match="sh failed with status 3") as caught:
        run(shell("seq 100; exit 3"), deadline=10)
    assert "100" in caught.value.what
    assert "\n50\n" not in caught.value.what
    assert caught.value.output.startswith("1\n2\n")


def test_a_failure_may_be_the_callers_to_judge() -> None:
    assert run(["false"], deadline=10, check=False).status == 1


def test_a_full_disk_is_recognised_in_what_a_program_says() -> None:
    with pytest.raises(NoSpaceError, match="no space left on the disk while running sh"):
        run(shell("echo 'tar: x: Cannot write: No space left on device' >&2; exit 2"), deadline=10)


def test_a_full_disk_is_recognised_in_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(NoSpaceError) as caught:
        run(shell("echo 'x: No space left on device'; exit 2"), deadline=10, log=log)
    assert caught.value.log == log


def test_a_log_grows_and_only_the_new_part_is_the_programs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(shell("echo one"), deadline=10, log=log)
    assert run(shell("echo two; echo err >&2"), deadline=10, log=log).stdout == b"two\nerr\n"
    assert log.read_text() == "one\ntwo\nerr\n"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(HostError, match="no-such-program is not installed"):
        run(["no-such-program"], deadline=10)


def test_a_folder_that_is_not_there_is_not_taken_for_a_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        run(["true"], deadline=10, cwd=tmp_path / "absent")


def test_which_names_the_package_to_install() -> None:
    with pytest.raises(HostError) as caught:
        which("no-such-program", package="the-package")
    assert caught.value.hint == "apt-get install the-package"


def test_programs_for_the_administrator_are_found_with_a_users_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert "sbin" in which("mke2fs", package="e2fsprogs")


@pytest.mark.parametrize("logged", [False, True], ids=["piped", "logged"])
def test_a_deadline_ends_a_program_with_its_children(tmp_path: Path, logged: bool) -> None:
    pid = tmp_path / "pid"
    log = tmp_path / "log" if logged else None
    with pytest.raises(LabError, match=r"sh did not end within 0\.5 s"):
        run(shell(f"sleep 1000 & echo $! >{pid}; wait"), deadline=0.5, log=log)
    child = pid_in(pid)
    wait.until(lambda: wait.gone(child), "the child's end")


def test_a_deadline_ends_the_child_that_a_program_left_with_its_output(tmp_path: Path) -> None:
    """The program itself is gone; what holds its standard output is a child of its."""
    pid = tmp_path / "pid"
    with pytest.raises(LabError, match="did not end within"):
        run(shell(f"sleep 1000 & echo $! >{pid}"), deadline=0.5)
    child = pid_in(pid)
    wait.until(lambda: wait.gone(child), "the child's end")


def test_an_interrupt_ends_the_program_and_passes_on(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            run(shell(f"echo $$ >{pid}; sleep 1000"), deadline=60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wait.until(lambda: wait.gone(pid_in(pid)), "the program's end")


def read_of(argv: list[str], deadline: float, error: Exception | None = None) -> bytes:
    """The first line of what a program prints; then `error` out of the block, where one is given."""
    with reading(argv, deadline=deadline) as stream:
        line = stream.readline()
        if error:
            raise error
    return line


def test_what_a_program_prints_is_read_as_it_comes_and_the_rest_is_dropped() -> None:
    with reading(shell("printf abc; head -c 1000000 /dev/zero"), deadline=10) as stream:
        assert stream.read(3) == b"abc"


def test_a_program_that_fails_after_it_was_read_says_why() -> None:
    with pytest.raises(ProgramFailedError, match=r"sh failed with status 3(.|\n)*broken"):
        read_of(shell("echo some; echo broken >&2; exit 3"), 10)


@pytest.mark.parametrize("script", ["sleep 1000", "exec >&-; sleep 1000"], ids=["silent", "done printing"])
def test_a_program_that_is_read_ends_at_its_deadline_with_its_children(tmp_path: Path, script: str) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(LabError, match=r"sh did not end within 0\.5 s"):
        read_of(shell(f"echo $$ >{pid}; {script}; true"), 0.5)
    wait.until(lambda: wait.gone(pid_in(pid)), "the program's end")


def test_a_deadline_explains_what_the_block_made_of_the_early_end() -> None:
    with pytest.raises(LabError, match="did not end within"):
        read_of(["sleep", "1000"], 0.3, ValueError("torn"))


def test_a_block_that_fails_ends_the_program_and_its_error_passes_on(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(ValueError, match="enough"):
        read_of(shell(f"echo $$ >{pid}; echo x; sleep 1000"), 60, ValueError("enough"))
    wait.until(lambda: wait.gone(pid_in(pid)), "the program's end")


PARENT = """
import sys, pathlib
from lab.process import spawn
process = spawn(["sh", "-c", "echo running; exec sleep 1000"], log=pathlib.Path(sys.argv[1]))
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_a_spawned_program_dies_when_who_started_it_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = [sys.executable, "-c", PARENT, str(log)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait.until(lambda: log.exists() and log.read_text() == "running\n", "the child's first word")
        assert not wait.gone(child)
        parent.kill()
    wait.until(lambda: wait.gone(child), "the child's end")


def test_a_program_that_shall_die_with_us_does_not_begin_as_somebody_elses_child(tmp_path: Path) -> None:
    # As when we were killed before it could ask to be told of our death: it would be an orphan for good.
    ours, orphans = tmp_path / "ours", tmp_path / "orphans"
    run(tied(["touch", str(ours)]), deadline=10)
    run(["sh", "-c", '"$@"; :', "sh", *tied(["touch", str(orphans)])], deadline=10)
    assert ours.exists()
    assert not orphans.exists()


def test_a_spawned_program_gets_the_descriptors_it_is_given_and_no_others(tmp_path: Path) -> None:
    log = tmp_path / "log"
    given, other = os.pipe()
    try:
        os.set_inheritable(other, True)
        with spawn(shell("ls /proc/self/fd"), log=log, pass_fds=(given,)) as process:
            assert process.wait(10) == 0
        seen = log.read_text().split()
        assert str(given) in seen
        assert str(other) not in seen
    finally:
        os.close(given)
        os.close(other)


def test_a_spawned_program_is_out_of_reach_of_ctrl_c(tmp_path: Path) -> None:
    with spawn(["sleep", "1000"], log=tmp_path / "log") as process:
        assert os.getsid(process.pid) == process.pid
        process.kill()


def test_a_run_ends_as_soon_as_its_program_does() -> None:
    began = time.monotonic()
    run(["true"], deadline=600)
    assert time.monotonic() - began < 5


def shown(tmp_path: Path, command: str, deadline: float = 10.0) -> tuple[Completed, list[bytes]]:
    pieces: list[bytes] = []
    done = run_shown(["sh", "-c", command], deadline=deadline, log=tmp_path / "log", output=pieces.append)
    return done, pieces


def test_what_is_shown_comes_as_it_is_printed_and_stands_in_the_log_too(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"before\n")
    done, pieces = shown(tmp_path, "echo one; sleep 0.2; echo two >&2; exit 3")
    assert pieces == [b"one\n", b"two\n"]
    assert (done.status, done.stdout) == (3, b"one\ntwo\n")
    assert (tmp_path / "log").read_bytes() == b"before\none\ntwo\n"


def test_what_is_shown_past_its_deadline_is_killed_with_its_children(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(DeadlineError, match="sh did not end within"):
        shown(tmp_path, "sleep 60 & sleep 60", deadline=0.3)
    assert time.monotonic() - begin < 10


def test_a_build_goes_on_when_nobody_looks_any_more(tmp_path: Path) -> None:
    def gone(data: bytes) -> None:
        raise BrokenPipeError(data)

    done = run_shown(["sh", "-c", "echo one; echo two"], deadline=10, log=tmp_path / "log", output=gone)
    assert done.stdout == b"one\ntwo\n"
