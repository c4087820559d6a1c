"""`lab kernel build`: what it refuses, before anything is fetched or compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.main import main
from lab.errors import ExitCode


@pytest.fixture(autouse=True)
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty store, and nobody to ask."""
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LAB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["6.12+ubsan"], "there is no variant 'ubsan' of a kernel"),
        (["6.8+kgdb"], "Debian has no sources of 6.8"),
        (["linux"], "'linux' is no kernel to be built"),
        (["6.12+kgdb", "--arch", "riscv64"], "the lab builds no kernel for riscv64"),
        (["6.12+kgdb", "--source", "."], "holds no sources of a kernel"),
        (["6.12+kgdb", "--source", "note.txt"], "neither a folder nor a tarball"),
        (["6.12+kgdb", "--source", "nowhere"], "does not exist"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_built_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (tmp_path / "note.txt").write_text("no tarball")
    assert main(["kernel", "build", *words]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert said in " ".join(told.split())
    assert not list((tmp_path / "store").glob("state/linux/*"))
