"""`lab debug` that was asked for what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.main import main
from lab.errors import ExitCode


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--kgdb", "--rr"], "--kgdb or --rr"),
        (["--kgdb", "{bundle}"], "not for a BUNDLE"),
        (["--rr", "{bundle}"], "not for a BUNDLE"),
        (["--", "true"], "a command is for --rr"),
        (["--kgdb", "--", "true"], "a command is for --rr"),
        (["--rr", "--"], "no command behind --"),
        (["/no/such/bundle"], "does not exist"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    words: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))
    assert main(["debug", *(word.format(bundle=tmp_path) for word in words)]) == ExitCode.USAGE
    assert what in capsys.readouterr().err
