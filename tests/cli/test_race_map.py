"""`lab race-map` before it runs anything: what it refuses, and with which exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.main import main
from lab.errors import ExitCode


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [["--call", "openat3"], ["--at", "noon"], ["--repeat", "0"], ["--driver", "nosuch:kmod"], ["--arch", "vax"]],
)
def test_mistakes_are_usage_errors(words: list[str]) -> None:
    assert main(["--offline", "race-map", *words]) == ExitCode.USAGE


@pytest.mark.parametrize("option", ["--json", "--svg"])
def test_a_file_that_cannot_be_written_is_told_before_any_guest_is_made(
    folder: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["race-map", option, str(folder / "nowhere" / "file")]) == ExitCode.HOST_LACKS
    assert "nowhere/file cannot be written: No such file or directory" in capsys.readouterr().err


def test_moments_are_named_as_they_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--at", "after-operation", "--call", "mount-source", "--driver", "nosuch:kmod"]
    assert main(["--offline", "race-map", *words]) == ExitCode.USAGE
    assert "nosuch" in capsys.readouterr().err
