"""The lab's program that speaks with a consumer (images/programs/lab-consumer.c), with processes of this host."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import settings
from lab.arches import host
from lab.images.programs import build_program
from lab.images.recipe import RECIPES
from lab.store import Store
from tests.support import wait

DEADLINE = 30.0
# Says "ready", answers SIGUSR1 in two halves of a line, and ends on SIGINT with a last word.
CONSUMER = """
import os, signal, sys
def told(*_):
    sys.stderr.write("Driver ")
    sys.stderr.flush()
    sys.stderr.write("Events:7\\n")
    sys.stderr.flush()
def over(*_):
    sys.stderr.write("the last word\\n")
    sys.stderr.flush()
    os._exit(3)
signal.signal(signal.SIGUSR1, told)
signal.signal(signal.SIGINT, over)
sys.stderr.write("ready\\n")
sys.stderr.flush()
while True:
    signal.pause()
"""


@pytest.fixture(scope="module")
def program() -> Path:
    chosen = settings.load()
    source = RECIPES / "programs" / "lab-consumer.c"
    return build_program(source, host(), Store(chosen.store), chosen, lambda _: None)


def run(program: Path, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program, *words], check=False, capture_output=True, timeout=DEADLINE)


class Consumer:
    """A consumer and the two files that its shell keeps in a guest."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.pid, self.said = folder / "consumer.pid", folder / "consumer.said"
        script = f'"{sys.executable}" -c "$0" 2>"{self.said}" & echo $! >"{self.pid}"; wait $!; '
        script += f'echo "lab: ended with status $?" >>"{self.said}"'
        self.shell = subprocess.Popen(["bash", "-c", f"set -m; {script}", CONSUMER])
        wait.until(lambda: self.said.is_file() and b"ready" in self.said.read_bytes(), "its start", DEADLINE)

    def ask(self, what: str) -> subprocess.CompletedProcess[bytes]:
        return run(self.program, what, self.pid, self.said)

    def end(self) -> None:
        self.ask("stop")
        self.shell.wait(DEADLINE)


@pytest.fixture
def consumer(program: Path, tmp_path: Path) -> Iterator[Consumer]:
    made = Consumer(program, tmp_path)
    yield made
    made.end()


def test_what_it_says_on_the_signal_is_told_in_whole_lines_and_nothing_from_before(consumer: Consumer) -> None:
    for _ in range(3):
        told = consumer.ask("tell")
        assert (told.returncode, told.stdout) == (0, b"Driver Events:7\n")


def test_one_that_runs_has_no_fault(consumer: Consumer) -> None:
    asked = consumer.ask("fault")
    assert (asked.returncode, asked.stdout) == (0, b"")


def test_it_is_stopped_and_its_last_words_are_told(consumer: Consumer) -> None:
    stopped = consumer.ask("stop")
    assert stopped.returncode == 0
    assert stopped.stdout.startswith(b"ready\nthe last word\n")


def test_the_fault_of_one_that_has_ended_is_what_it_said_and_its_status(consumer: Consumer) -> None:
    consumer.ask("stop")
    assert consumer.ask("fault").stdout == b"gone\nready\nthe last word\nlab: ended with status 3\n"
    asked = consumer.ask("tell")
    assert (asked.returncode, asked.stdout) == (1, b"")


def test_of_a_flood_the_beginning_and_the_end_are_told(program: Path, tmp_path: Path) -> None:
    pid, said = tmp_path / "pid", tmp_path / "said"
    said.write_bytes(b"first\n" + bytes(1 << 20) + b"\nlab: ended with status 1\n")
    asked = run(program, "fault", pid, said)
    assert len(asked.stdout) == len(b"gone\n\n") + 65536
    assert asked.stdout.startswith(b"gone\nfirst\n")
    assert asked.stdout.endswith(b"\nlab: ended with status 1\n")
    stopped = run(program, "stop", pid, said)
    assert (stopped.returncode, stopped.stdout) == (1, b"")


@pytest.mark.parametrize("words", [[], ["tell"], ["ask", "pid", "said"], ["tell", "pid", "/there/is/none"]])
def test_what_it_cannot_do_is_a_failure(program: Path, words: list[str]) -> None:
    asked = run(program, *words)
    assert asked.returncode != 0
    assert asked.stderr
