"""`lab repro`, and the other commands on bundles and machines that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.cli.main import main
from lab.errors import ExitCode, RequestError
from lab.evidence.repro import read_repro, write_repro

GOOD = {
    "scenario": "scenarios/test_open.py::test_it",
    "folder": "/somewhere",
    "kernel": "debian/6.12.117-cloud",
    "arch": "amd64",
    "driver": "falco:kmod",
    "vm": "fork",
}


@pytest.fixture(autouse=True)
def nobodys_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))


def test_a_bundle_says_what_is_run_again(tmp_path: Path) -> None:
    write_repro(tmp_path, {**GOOD, "fuzz-seed": "17", "artifact": None})
    arguments, folder = read_repro(tmp_path)
    assert folder == Path("/somewhere")
    assert arguments == [
        "scenarios/test_open.py::test_it",
        *("--kernel", "debian/6.12.117-cloud", "--arch", "amd64", "--driver", "falco:kmod", "--vm", "fork"),
        *("--fuzz-seed", "17"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"scenario": "--pdb"},
        {"scenario": "-p evil"},
        {"scenario": ""},
        {"kernel": "-x"},
        {"driver": "a\nb"},
        {"folder": 3},
        {"arch": ["amd64"]},
        {"vm": "x" * 1000},
    ],
)
def test_a_bundle_of_somebody_elses_gives_pytest_no_options(tmp_path: Path, change: dict[str, Any]) -> None:
    write_repro(tmp_path, {**GOOD, **change})
    with pytest.raises(RequestError, match="no bundle that can be run again"):
        read_repro(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{", '"x"'])
def test_what_is_no_bundle_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "repro.json").write_text(text)
    with pytest.raises(RequestError, match="no bundle"):
        read_repro(tmp_path)


def test_a_bundle_whose_scenario_is_nowhere_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_repro(tmp_path, GOOD)
    assert main(["repro", str(tmp_path)]) == ExitCode.USAGE
    assert "is neither in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["exec", "abc", "--", "true"], ExitCode.RUN_FAILED),
        (["console", "abc"], ExitCode.USAGE),
        (["keep", "stop", "abc"], ExitCode.USAGE),
        (["keep", "attach", "abc"], ExitCode.USAGE),
    ],
)
def test_a_machine_that_does_not_run_is_one_sentence(
    words: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == status
    assert "lab: no machine 'abc' runs; running: none" in capsys.readouterr().err


def test_without_machines_the_list_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keep", "list"]) == ExitCode.OK
    assert "no machine runs" in capsys.readouterr().err
    assert main(["keep", "list", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == []
