"""`lab compare` before it runs anything: what it refuses, and which drivers it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.compare import everyone
from lab.cli.main import main
from lab.drivers.manifest import find_drivers
from lab.errors import ExitCode


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.mark.parametrize(
    "words", [["--action", "dance"], ["--driver", "nosuch:kmod"], ["--driver", ","], ["--arch", "vax"]]
)
def test_mistakes_are_usage_errors(words: list[str]) -> None:
    assert main(["--offline", "compare", *words]) == ExitCode.USAGE


def test_a_program_that_must_be_given_is_asked_for_before_anything_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--offline", "compare", "--driver", "falco:modern-bpf"]) == ExitCode.USAGE
    assert "--artifact falco:modern-bpf=PATH" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_before_any_guest_is_made(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "--output", str(folder / "nowhere" / "file")]) == ExitCode.HOST_LACKS
    assert "nowhere/file cannot be written: No such file or directory" in capsys.readouterr().err


def test_without_drivers_named_all_are_meant_in_every_mode_and_version() -> None:
    found = find_drivers(everyone())
    modes = {"falco:kmod", "falco:bpf", "falco@0.20.0:kmod", "falco@2022:kmod", "falco@2022:bpf"}
    assert modes | {"tap:kmod", "tap:bpf", "tap:modern-bpf", "auditd:audit", "bpftrace:script"} <= set(found)
    assert "falco:modern-bpf" not in found
