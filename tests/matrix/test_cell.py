"""Cells are all combinations of what was asked for, each once, in the order it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.arches import AMD64, ARM64, Arch
from lab.errors import RequestError
from lab.matrix.cell import Cell, cells, demand_one_tree, left, split_list
from lab.matrix.runs import CellFacts, write_cells


def never(text: str, arch: Arch) -> list[str]:
    raise AssertionError(f"an archive was read for {text} on {arch.name}")


def test_cells_are_all_combinations_in_the_order_written() -> None:
    made = cells("6.12,5.10", "amd64", "falco:kmod,tap:modern-bpf", never)
    assert [cell.slug for cell in made] == [
        "6.12-amd64-falco:kmod",
        "6.12-amd64-tap:modern-bpf",
        "5.10-amd64-falco:kmod",
        "5.10-amd64-tap:modern-bpf",
    ]


def test_what_is_asked_for_twice_is_one_cell() -> None:
    assert len(cells("6.12,6.12", "amd64,x86_64", "falco:kmod", never)) == 1


def test_both_names_of_an_architecture_are_one() -> None:
    assert cells("6.12", "x86_64", "falco:kmod", never) == [Cell("6.12", AMD64, "falco:kmod")]


def test_a_request_for_several_means_what_each_architecture_has() -> None:
    asked = []

    def expand(text: str, arch: Arch) -> list[str]:
        asked.append((text, arch.name))
        return ["7.3", "6.12"] if arch is AMD64 else ["7.2"]

    made = cells("5.10,>=6,<8,6.12", "amd64,arm64", "falco:kmod", expand)
    assert [(cell.kernel, cell.arch) for cell in made] == [
        ("5.10", AMD64),
        ("5.10", ARM64),
        ("7.3", AMD64),
        ("6.12", AMD64),
        ("7.2", ARM64),
        ("6.12", ARM64),
    ]
    assert asked == [(">=6,<8", "amd64"), (">=6,<8", "arm64")]


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(RequestError, match="sparc"):
        cells("6.12", "amd64,sparc", "falco:kmod", never)


@pytest.mark.parametrize(
    ("kernel", "driver", "slug"),
    [
        ("debian:sid/7.2", "falco:kmod", "debian:sid_7.2-amd64-falco:kmod"),
        ("6.12", "./my driver/driver.toml:kmod", "6.12-amd64-._my_driver_driver.toml:kmod"),
        ("build:6.12+kgdb", "", "build:6.12+kgdb-amd64"),
        ("6.12\n", "", "6.12_-amd64"),
    ],
)
def test_a_slug_can_stand_in_test_ids_and_file_names(kernel: str, driver: str, slug: str) -> None:
    assert Cell(kernel, AMD64, driver).slug == slug


@pytest.mark.parametrize(
    ("text", "words"), [("a,b", ["a", "b"]), (" a , ,b,a", ["a", "b"]), ("", []), (",", []), ("a", ["a"])]
)
def test_a_list_has_each_of_its_words_once(text: str, words: list[str]) -> None:
    assert list(split_list(text)) == words


def test_a_tree_of_the_users_is_of_one_driver_only(tmp_path: Path) -> None:
    one = [Cell("6.12", AMD64, "falco:kmod"), Cell("5.10", AMD64, "falco@2022:bpf")]
    demand_one_tree(one, tmp_path)
    several = [*one, Cell("6.12", AMD64, "auditd:audit")]
    demand_one_tree(several, None)
    with pytest.raises(RequestError, match="one driver's sources, and falco, auditd are asked for"):
        demand_one_tree(several, tmp_path)


def test_what_is_finished_is_left_out_and_nothing_left_is_told(tmp_path: Path) -> None:
    both = cells("6.12,5.10", "amd64", "falco:kmod", never)
    assert left(both, tmp_path / "not-there") == both
    run = tmp_path / "run-1"
    run.mkdir()
    (run / "plan.json").write_text(json.dumps({"a": both[0].slug}))
    write_cells(run, {both[0].slug: CellFacts(both[0].slug, "6.12", "amd64", "falco:kmod")})
    (run / "results.jsonl").write_text('{"scenario": "a", "verdict": "passed", "reason": ""}\n')
    assert left(both, tmp_path) == both[1:]
    with pytest.raises(RequestError, match="nothing is left to run: all 1 cells"):
        left(both[:1], tmp_path)
