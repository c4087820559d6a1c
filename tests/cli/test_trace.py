"""`lab trace` that was asked for what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.main import main
from lab.errors import ExitCode


@pytest.fixture(autouse=True)
def nobodys_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "one of --functions, --events and -e"),
        (["abc", "--functions", "f", "--events", "a:b"], "one of --functions, --events and -e"),
        (["abc", "--events", "a:b", "-e", "BEGIN {}"], "one of --functions, --events and -e"),
        (["abc", "--events", "a:b", "--depth", "3"], "--depth is for --functions"),
        (["abc", "--functions", "f", "--depth", "-1"], "--depth"),
        (["abc", "--functions", "f", "--for", "0"], "--for"),
        (["abc", "--functions", "f", "--for", "1e9"], "--for"),
        (["abc", "--functions", "f", "--for", "3", "--", "true"], "--for is for a trace without a command"),
        (["abc", "--functions", "f", "--kernel", "6.12"], "abc runs already"),
        (["--functions", "f"], "a fresh guest needs a command"),
        (["--functions", "f", "--"], "no command behind --"),
        (["abc", "def", "--functions", "f"], "unexpected extra argument"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", *words]) == ExitCode.USAGE
    assert what in capsys.readouterr().err


def test_a_machine_that_does_not_run_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "abc", "--events", "sched:*"]) == ExitCode.USAGE
    assert "lab: no machine 'abc' runs; running: none" in capsys.readouterr().err


def test_bpftrace_on_riscv64_is_unsupported_before_anything_is_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--arch", "riscv64", "-e", "BEGIN { exit() }", "--", "true"]) == ExitCode.CHECK_FAILED
    said = capsys.readouterr().err
    assert said.startswith("lab: bpftrace is for amd64 and arm64")
    assert "Next: --functions and --events" in said
