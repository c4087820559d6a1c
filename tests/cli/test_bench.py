"""`lab bench` before it measures: what it refuses, and with which exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab import arches
from lab.cli.main import main
from lab.errors import ExitCode


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "store"))
    return tmp_path


def test_without_virtme_ng_the_host_lacks_something(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder))
    assert main(["bench", "--virtme"]) == ExitCode.HOST_LACKS
    assert capsys.readouterr().err == "lab: virtme-ng (vng) is not installed\nNext: tools/setup bench\n"


def test_virtme_ng_runs_the_hosts_architecture_only(capsys: pytest.CaptureFixture[str]) -> None:
    other = next(arch.name for arch in arches.ARCHES if arch is not arches.host())
    assert main(["bench", "--virtme", "--arch", other]) == ExitCode.USAGE
    assert f"not {other}\nNext: leave --virtme away" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--json", str(folder / "nowhere" / "bench.json")]) == ExitCode.HOST_LACKS
    assert "nowhere/bench.json cannot be written: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--repeat", "0"], ["--repeat", "often"], ["--driver", "nosuch:kmod"]])
def test_mistakes_are_usage_errors(words: list[str]) -> None:
    assert main(["--offline", "bench", *words]) == ExitCode.USAGE
