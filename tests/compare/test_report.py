"""The table and the page hold every answer, and what explains it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lab.compare.actions import ACTIONS
from lab.compare.comparison import Column, Compared, told
from lab.compare.judge import Answer, Sight
from lab.compare.report import LEGEND, markdown, notes, show, text
from lab.errors import LabError

OPEN, MISSING = ACTIONS[:2]
ALL = Sight("open", Answer.ALL)
OTHER = Sight("open", Answer.OTHERWISE, ("flags",), (("name", "/x|y"),))
COLUMNS = [
    Column("falco:kmod", (OTHER, Sight("open-missing", Answer.UNSEEN)), "0.23.2-1", "6.12.1"),
    Column("tap:kmod", (ALL, Sight("open-missing", Answer.PARTLY, ("name",))), "", "6.12.1"),
    Column("falco@2022:kmod", why="it does not build: x.c:1: error: no member 7 | x\nLog: far away"),
]
COMPARED = Compared("6.12", "amd64", tuple(COLUMNS))


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (Answer.ALL, "yes"),
        (Answer.UNSEEN, "NO"),
        (Answer.UNKNOWN, "?"),
        (Answer.BLIND, "-"),
        (Answer.IMPOSSIBLE, "n/a"),
    ],
)
def test_an_answer_has_its_word_and_the_legend_explains_it(answer: Answer, word: str) -> None:
    assert text(Sight("open", answer)) == word
    assert f"{word}:" in LEGEND


def test_a_report_that_is_not_whole_is_told_by_what_is_not() -> None:
    assert text(OTHER) == "other name; without flags"
    assert text(Sight("open", Answer.PARTLY, ("name", "flags"))) == "without name, flags"


def test_the_table_has_a_row_an_action_and_a_column_a_driver_that_ran() -> None:
    out = io.StringIO()
    show(COMPARED, [OPEN, MISSING], Console(file=out))
    title, head, first, second, *rest = out.getvalue().splitlines()
    assert title == "amd64, kernel 6.12.1"
    assert head.split() == ["falco:kmod", "tap:kmod"]
    assert first.split() == ["open", "other", "name;", "without", "flags", "yes"]
    assert second.split() == ["open-missing", "NO", "without", "name"]
    assert rest[0] == LEGEND
    assert rest[1:] == notes(COLUMNS)


def test_notes_tell_what_was_said_instead_and_of_whom_nothing_can_be_said() -> None:
    assert notes(COLUMNS) == [
        "open: name /x|y (falco:kmod)",
        "falco@2022:kmod: it does not build: x.c:1: error: no member",
    ]


def test_drivers_that_say_the_same_share_a_note() -> None:
    same = [Column(name, (OTHER,)) for name in ("falco:kmod", "falco:bpf")]
    assert notes(same) == ["open: name /x|y (falco:kmod, falco:bpf)"]


def test_the_page_has_its_date_its_command_and_versions_and_nothing_breaks_its_table() -> None:
    other = Compared("5.10", "amd64", (Column("tap:kmod", why="no kernel"),))
    page = markdown(
        [COMPARED, other], [OPEN, MISSING], date="2026-11-24", command="lab compare", facts=["kernel-lab 1."]
    )
    assert "Made by `lab compare` on 2026-11-24" in page
    assert "\nkernel-lab 1.\n" in page
    assert page.count(LEGEND) == 1
    first, second = page.split("## ")[1:]
    assert first.startswith("amd64, kernel 6.12.1\n\nDrivers: falco:kmod 0.23.2-1, tap:kmod.\n")
    assert "| open: a file is opened | other name; without flags | yes |" in first
    assert "- open: name /x\\|y (falco:kmod)" in first
    assert second.startswith("amd64, kernel 5.10\n\nDrivers: none.\n")
    assert "- tap:kmod: no kernel" in second


def test_what_the_actor_prints_is_read_strictly() -> None:
    assert told(b'{"pid": 1, "result": -2, "child": 0}') == {"pid": 1, "result": -2, "child": 0}
    for wrong in (b"", b"[]", b'{"pid": 1}', b'{"pid": "1", "result": 2, "child": 0}'):
        with pytest.raises(LabError, match="lab-act printed"):
            told(wrong)
