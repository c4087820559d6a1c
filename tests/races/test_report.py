"""The table, the JSON and the picture say the same, and an answer that varied cannot hide."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree

import pytest
from rich.console import Console

from lab.races.judge import Answer, Point
from lab.races.report import Grid, as_json, picture, show
from lab.races.windows import Window

RIGHT = Point("openat", Window.BEFORE_COPY, Answer.RIGHT, "other", "/work/race/other", "f", "", 1.0)
MISLED = Point("openat", Window.AFTER_COPY, Answer.MISLED, "asked", "/x<&>", "f", "", 3.0)
GONE = Point("execve", Window.AFTER_COPY, Answer.UNSUPPORTED, why="there is no <such> place")


def shown(*points: Point) -> list[str]:
    out = io.StringIO()
    show(points, "a title [b]", Console(file=out))
    return out.getvalue().splitlines()


def test_the_table_has_a_row_a_call_a_column_a_moment_and_what_explains_it() -> None:
    title, head, first, second, *notes = shown(MISLED, RIGHT, GONE)
    assert title == "a title [b]"
    assert head.split() == ["before-kernel-copy", "after-kernel-copy"]
    assert first.split() == ["openat", "right", "misled"]
    assert second.split() == ["execve", "unsupported"]
    assert notes[0] == "openat after-kernel-copy: the kernel acted on «asked», reported was /x<&>"
    assert notes[1] == "execve after-kernel-copy: there is no <such> place"
    assert notes[2] == "a point took 2.00 s (median of 2), 3.00 s at most"


def test_of_many_it_says_how_many() -> None:
    assert "right 20/20" in shown(*[RIGHT] * 20)[2]


def test_an_answer_that_varied_is_told_as_that() -> None:
    other = Point("openat", Window.BEFORE_COPY, Answer.MISLED, "other", "y")
    grid = Grid([RIGHT, RIGHT, other, MISLED])
    assert grid.varied() == [("openat", Window.BEFORE_COPY)]
    assert grid.text("openat", Window.BEFORE_COPY) == "right 2/3, misled 1/3"
    assert grid.answer("openat", Window.BEFORE_COPY) is None
    assert Grid([RIGHT, RIGHT, MISLED]).varied() == []


def test_the_json_has_every_point_and_what_varied() -> None:
    other = Point("openat", Window.BEFORE_COPY, Answer.UNTOLD)
    found = json.loads(as_json([RIGHT, other, MISLED], {"cell": "c"}))
    assert (found["schema"], found["cell"], len(found["points"])) == (1, "c", 3)
    assert found["varied"] == [{"name": "openat", "window": "before-kernel-copy"}]
    assert found["points"][2]["answer"] == "misled"


def test_the_picture_is_well_formed_with_a_box_a_place_whatever_a_guest_wrote() -> None:
    root = ElementTree.fromstring(  # noqa: S314 - our own
        picture([RIGHT, MISLED, GONE], "<title>")
    )
    boxes = root.findall("{*}g")
    assert [box.findtext("{*}text") for box in boxes] == ["right", "misled", "unsupported"]
    assert boxes[1].findtext("{*}title") == "the kernel acted on «asked», reported was /x<&>"
    colours = [box.find("{*}rect").get("fill") for box in boxes]  # type: ignore[union-attr]
    assert len(set(colours)) == 3


@pytest.mark.parametrize("text", ["\x00", "\x1b[31m", "\ud800"])
def test_what_cannot_stand_in_a_picture_does_not_break_it(text: str) -> None:
    bad = Point("openat", Window.AFTER_COPY, Answer.MISLED, "asked", text)
    ElementTree.fromstring(picture([bad], "t").encode())  # noqa: S314 - our own
