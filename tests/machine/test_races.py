"""Races whose winner is chosen: the answer is the same every time, and it is the driver's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.cli.main import main
from lab.errors import ExitCode

CALLS = ("openat", "execve", "connect")
MORE_CALLS = ("unlinkat", "symlinkat-target", "mount-source", "sendto")
BEHIND_THE_COPY = {"after-kernel-copy", "after-operation"}


@pytest.fixture
def race_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command and return its JSON; no machine of it may stay."""
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))

    def run(driver: str, *words: str) -> dict[str, Any]:
        output = tmp_path / "races.json"
        told = ["--kernel", "6.12", "--arch", "amd64", "--driver", driver, "--json", str(output)]
        assert main(["race-map", *told, *words]) == ExitCode.OK
        assert [path for path in (tmp_path / "machines").iterdir() if path.is_dir()] == []
        found: dict[str, Any] = json.loads(output.read_text())
        return found

    return run


def answers(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """By call and moment."""
    table: dict[str, dict[str, str]] = {}
    for point in found["points"]:
        table.setdefault(point["name"], {})[point["window"]] = point["answer"]
    return table


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        ("kmod", CALLS),
        pytest.param("kmod", MORE_CALLS, marks=pytest.mark.slow),
        pytest.param("bpf", CALLS + MORE_CALLS, marks=pytest.mark.slow),
        pytest.param("modern-bpf", CALLS + MORE_CALLS, marks=pytest.mark.slow),
    ],
)
def test_tap_is_misled_at_no_moment_and_built_to_read_at_exit_at_those_behind_the_kernels_copy(
    race_map: Any, mode: str, calls: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for call in calls for word in ("--call", call)]
    right = answers(race_map(f"tap:{mode}", *words))
    assert set(right) == set(calls)
    for call, at in right.items():
        gone = {"after-operation", "after-exit-read"} if call == "execve" else set()
        assert {window for window, answer in at.items() if answer != "right"} == gone, call
        assert {at[window] for window in gone} <= {"unsupported"}, call
    svg = tmp_path / "races.svg"
    wrong = answers(race_map(f"tap+exit-only:{mode}", *words, "--svg", str(svg)))
    for call in set(calls) - {"execve"}:
        assert {window for window, answer in wrong[call].items() if answer == "misled"} == BEHIND_THE_COPY, call
        assert {wrong[call][window] for window in set(wrong[call]) - BEHIND_THE_COPY} == {"right"}, call
    assert "misled" in capsys.readouterr().out
    boxes = ElementTree.parse(svg).getroot().findall("{*}g")  # noqa: S314 - our own
    assert len(boxes) == 5 * len(calls)


@pytest.mark.parametrize(
    ("driver", "call", "moment", "answer"),
    [
        pytest.param("tap:kmod", "connect", "before-kernel-copy", "right", marks=pytest.mark.slow),
        ("tap+exit-only:kmod", "openat", "after-kernel-copy", "misled"),
        pytest.param("tap+exit-only:kmod", "openat", "after-operation", "misled", marks=pytest.mark.slow),
    ],
)
def test_the_same_moment_has_the_same_answer_20_times_of_20(
    race_map: Any, driver: str, call: str, moment: str, answer: str
) -> None:
    found = race_map(driver, "--call", call, "--at", moment, "--repeat", "20")
    assert [point["answer"] for point in found["points"]] == [answer] * 20
    assert found["varied"] == []
    assert len({point["where"] for point in found["points"]}) == 1
