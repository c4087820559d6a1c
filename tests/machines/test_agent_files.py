"""Files by the agent's own program: lab-agent get PATH, lab-agent put PATH [MODE]."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(agent_program: Path) -> Run:
    def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([agent_program, *words], input=stdin, capture_output=True, timeout=30, check=False)

    return run


def test_a_file_is_printed_whole(run: Run, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "file").write_bytes(data)
    done = run("get", str(tmp_path / "file"))
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")


def test_what_has_no_end_is_printed_as_far_as_it_goes(run: Run, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDWR)
    try:
        os.write(end, b"until now")
        assert run("get", str(fifo)).stdout == b"until now"
    finally:
        os.close(end)


def test_a_file_is_written_over_and_keeps_its_mode(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"longer than the next")
    file.chmod(0o600)
    before = file.stat().st_ino
    data = os.urandom(200_000)
    assert run("put", str(file), stdin=data).returncode == 0
    assert (file.read_bytes(), file.stat().st_mode & 0o777, file.stat().st_ino) == (data, 0o600, before)


def test_with_a_mode_another_file_takes_the_place_of_one_that_may_be_running(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"old")
    with file.open("rb") as held:
        assert run("put", str(file), "755", stdin=b"new").returncode == 0
        assert held.read() == b"old"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o755)


@pytest.mark.parametrize("words", [("get", "{}/none"), ("get", "{}"), ("put", "{}/none/x"), ("put", "{}", "755")])
def test_what_cannot_be_done_is_told(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(*(word.format(tmp_path) for word in words), stdin=b"x")
    assert done.returncode == 1
    assert str(tmp_path).encode() in done.stderr


@pytest.mark.parametrize("words", [(), ("put", "a", "b", "c"), ("take", "a")])
def test_other_words_are_a_mistake(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert b"usage: " in done.stderr


def test_numbers_of_programs_and_maps_are_told_by_kind(run: Run) -> None:
    done = run("bpf")
    # Who may not ask is told so.
    if done.returncode:
        assert b"program: Operation not permitted" in done.stderr
    else:
        assert {line.split()[0] for line in done.stdout.splitlines()} <= {b"program", b"map", b"link"}
