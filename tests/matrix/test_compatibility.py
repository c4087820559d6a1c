"""Runs become a table in which nothing is claimed that no run showed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.errors import RequestError
from lab.matrix.compatibility import compatibility
from lab.matrix.runs import CellFacts, finished, read_run, write_cells

NEW = CellFacts(
    "7.3-amd64-d:kmod", "7.3", "amd64", "d:kmod", "7.3.4-amd64", "7.3.4-1", "debian:sid", "1.0", acceleration="tcg"
)
OLD = CellFacts("5.10-arm64-d:kmod", "5.10", "arm64", "d:kmod")


def left(folder: Path, *cells: CellFacts, verdicts: Mapping[str, tuple[str, str, str]]) -> Path:
    """A run's folder; `verdicts` are scenario -> (cell, verdict, reason), an empty verdict for one that is missing."""
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({name: cell for name, (cell, _, _) in verdicts.items()}))
    write_cells(folder, {cell.slug: cell for cell in cells})
    rows = [
        json.dumps({"scenario": name, "verdict": verdict, "reason": reason, "controls": []})
        for name, (_, verdict, reason) in verdicts.items()
        if verdict
    ]
    (folder / "results.jsonl").write_text("\n".join([*rows, '{"scenario": "cut of']))
    return folder


def row(text: str, kernel: str) -> list[str]:
    """The fields of a kernel's row, without its name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {kernel} |"))
    return [field.strip() for field in line.strip("| ").split("|")[1:]]


def test_a_cell_has_its_version_and_its_verdicts_and_what_was_not_run_says_so(tmp_path: Path) -> None:
    run = left(tmp_path / "run", NEW, verdicts={"a": (NEW.slug, "passed", ""), "b": (NEW.slug, "passed", "")})
    text = compatibility([read_run(run)], date="2026-11-24")
    assert row(text, "7.3") == ["7.3.4-1 (sid): 2 passed", *["never run"] * 5]
    assert "Version 1.0" in text


def test_a_red_cell_has_its_cause_once_and_without_hints(tmp_path: Path) -> None:
    why = "d:kmod does not build: 'x' is_not here\nNext: read the log\nLog: /somewhere"
    run = left(tmp_path / "run", OLD, verdicts={"a": (OLD.slug, "error", why), "b": (OLD.slug, "error", why)})
    text = compatibility([read_run(run)], date="2026-11-24")
    assert row(text, "5.10")[1] == "2 error [1]"
    assert r"1. d:kmod does not build: 'x' is\_not here" in text.splitlines()
    assert "somewhere" not in text


def test_a_cause_names_no_mirror(tmp_path: Path) -> None:
    why = "the archive of trixie at http://mirror.example/debian is half updated (Could not resolve 'mirror.example')"
    run = left(tmp_path / "run", OLD, verdicts={"a": (OLD.slug, "error", why)})
    assert (
        "1. the archive of trixie is half updated (Could not resolve its host)"
        in compatibility([read_run(run)], date="today").splitlines()
    )


def test_what_was_planned_and_never_reported_is_missing(tmp_path: Path) -> None:
    run = left(tmp_path / "run", NEW, verdicts={"a": (NEW.slug, "passed", ""), "b": (NEW.slug, "", "")})
    assert row(compatibility([read_run(run)], date="today"), "7.3")[0] == "7.3.4-1 (sid): 1 passed, 1 missing"


def test_a_later_run_takes_an_earlier_ones_place(tmp_path: Path) -> None:
    first = left(tmp_path / "first", NEW, OLD, verdicts={"a": (NEW.slug, "failed", "x"), "b": (OLD.slug, "passed", "")})
    second = left(tmp_path / "second", NEW, verdicts={"a": (NEW.slug, "passed", "")})
    text = compatibility([read_run(first), read_run(second)], date="today")
    assert row(text, "7.3")[0] == "7.3.4-1 (sid): 1 passed"
    assert row(text, "5.10")[1] == "1 passed"


def test_kernels_stand_in_the_order_of_their_versions(tmp_path: Path) -> None:
    run = left(tmp_path / "run", OLD, NEW, verdicts={"a": (OLD.slug, "passed", ""), "b": (NEW.slug, "passed", "")})
    lines = [
        line.split("|")[1].strip()
        for line in compatibility([read_run(run)], date="today").splitlines()
        if line.startswith("|")
    ]
    assert lines[2:] == ["7.3", "5.10"]


@pytest.mark.parametrize("damage", ["plan.json", "cells.json"])
def test_a_folder_that_is_no_run_is_named(tmp_path: Path, damage: str) -> None:
    run = left(tmp_path / "run", NEW, verdicts={"a": (NEW.slug, "passed", "")})
    (run / damage).write_text("[")
    with pytest.raises(RequestError, match="is no run's folder"):
        read_run(run)


def test_each_driver_and_mode_has_a_table_of_its_own_whatever_run_it_comes_from(tmp_path: Path) -> None:
    other = CellFacts("7.3-amd64-d:bpf", "7.3", "amd64", "d:bpf")
    first = left(tmp_path / "first", NEW, verdicts={"a": (NEW.slug, "passed", "")})
    second = left(tmp_path / "second", other, verdicts={"a": (other.slug, "gap", "")})
    text = compatibility([read_run(first), read_run(second)], date="today")
    bpf, kmod = text.split("## d:bpf")[1].split("## d:kmod")
    assert row(bpf, "7.3")[0] == "1 gap"
    assert "Of this tree; QEMU" in bpf
    assert row(kmod, "7.3")[0] == "7.3.4-1 (sid): 1 passed"


@pytest.mark.parametrize(
    ("verdict", "done"),
    [
        ("passed", True),
        ("failed", True),
        ("gap", True),
        ("unsupported", True),
        ("error", False),
        ("lost", False),
        ("", False),
    ],
)
def test_a_cell_is_finished_when_nothing_of_it_is_open(tmp_path: Path, verdict: str, done: bool) -> None:
    left(tmp_path / "run-1", NEW, verdicts={"a": (NEW.slug, "passed", ""), "b": (NEW.slug, verdict, "")})
    assert (NEW.slug in finished(tmp_path)) is done


def test_the_last_run_of_a_cell_says_whether_it_is_finished(tmp_path: Path) -> None:
    left(tmp_path / "run-1", NEW, OLD, verdicts={"a": (NEW.slug, "lost", ""), "b": (OLD.slug, "passed", "")})
    left(tmp_path / "run-2", NEW, verdicts={"a": (NEW.slug, "passed", "")})
    left(tmp_path / "run-3", OLD, verdicts={"b": (OLD.slug, "", "")})
    (tmp_path / "run-4").mkdir()
    assert finished(tmp_path) == {NEW.slug}
