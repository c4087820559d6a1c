"""What races showed: a table for people, JSON with every point for programs, a picture for a page. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

from rich.console import Console
from rich.table import Table

from lab.races.judge import Answer, Point
from lab.races.windows import Window

SCHEMA = 1
_PIPE_WIDTH = 140
_STYLES = {Answer.RIGHT: "green", Answer.MISLED: "bold red", Answer.UNTOLD: "yellow", Answer.UNSUPPORTED: "dim"}
_COLOURS = {
    Answer.RIGHT: "#2e7d32",
    Answer.MISLED: "#c62828",
    Answer.UNTOLD: "#f9a825",
    Answer.UNSUPPORTED: "#9e9e9e",
}
_VARIED = "#6a1b9a"
# Of the picture, in pixels.
_LEFT, _TOP, _WIDTH, _HEIGHT, _GAP = 150, 60, 150, 26, 3


class Grid:
    """Points by call and moment. Those of one place should have one answer; `varied` are the places where not."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.names = list(dict.fromkeys(point.name for point in points))
        self.windows = [window for window in Window if any(point.window == window for point in points)]
        self._points = points

    def at(self, name: str, window: Window) -> list[Point]:
        """The points of one place."""
        return [point for point in self._points if (point.name, point.window) == (name, window)]

    def answer(self, name: str, window: Window) -> Answer | None:
        """The one answer of a place; None when it varied, or when nobody asked."""
        answers = {point.answer for point in self.at(name, window)}
        return answers.pop() if len(answers) == 1 else None

    def text(self, name: str, window: Window) -> str:
        """What stands in a field: the answer, and of how many when there were more than one."""
        counts = Counter(str(point.answer) for point in self.at(name, window))
        whole = sum(counts.values())
        if whole <= 1:
            return next(iter(counts), "")
        return ", ".join(f"{answer} {count}/{whole}" for answer, count in counts.items())

    def varied(self) -> list[tuple[str, Window]]:
        """The places whose answers were not all the same."""
        return [
            (name, window)
            for name in self.names
            for window in self.windows
            if len({point.answer for point in self.at(name, window)}) > 1
        ]

    def notes(self) -> list[str]:
        """What explains fields that are not right, each once."""
        found = [f"{point.name} {point.window}: {_note(point)}" for point in self._points if _note(point)]
        return list(dict.fromkeys(found))


def as_json(points: Sequence[Point], facts: Mapping[str, Any]) -> str:
    """The JSON that docs/races.md describes."""
    varied = [{"name": name, "window": window} for name, window in Grid(points).varied()]
    return json.dumps(
        {"schema": SCHEMA, **facts, "varied": varied, "points": [asdict(one) for one in points]}, indent=1
    )


def show(points: Sequence[Point], title: str, console: Console | None = None) -> None:
    """Print the table: a row a call, a column a moment; and what explains it."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    grid = Grid(points)
    console.print(title, soft_wrap=True, markup=False, highlight=False)
    table = Table("", *grid.windows, box=None, pad_edge=False)
    for name in grid.names:
        table.add_row(name, *(_field(grid, name, window) for window in grid.windows))
    console.print(table)
    for note in grid.notes():
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    seconds = [point.seconds for point in points if point.seconds]
    if seconds:
        line = f"a point took {median(seconds):.2f} s (median of {len(seconds)}), {max(seconds):.2f} s at most"
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def picture(points: Sequence[Point], title: str) -> str:
    """The table as SVG, which stands by itself."""
    grid = Grid(points)
    width = _LEFT + len(grid.windows) * (_WIDTH + _GAP)
    height = _TOP + len(grid.names) * (_HEIGHT + _GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="4" y="18" font-size="14">{_safe(title)}</text>',
    ]
    for column, window in enumerate(grid.windows):
        lines.append(f'<text x="{_LEFT + column * (_WIDTH + _GAP)}" y="{_TOP - 8}">{window}</text>')
    for row, name in enumerate(grid.names):
        y = _TOP + row * (_HEIGHT + _GAP)
        lines.append(f'<text x="4" y="{y + 17}">{_safe(name)}</text>')
        for column, window in enumerate(grid.windows):
            lines += _box(_LEFT + column * (_WIDTH + _GAP), y, grid, name, window)
    return "\n".join([*lines, "</svg>", ""])


def _box(x: int, y: int, grid: Grid, name: str, window: Window) -> list[str]:
    if not grid.at(name, window):
        return []
    answer = grid.answer(name, window)
    colour = _COLOURS[answer] if answer else _VARIED
    notes = "; ".join(dict.fromkeys(_note(point) for point in grid.at(name, window)))
    return [
        f'<g><title>{_safe(notes)}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" fill="{colour}"/>',
        f'<text x="{x + 8}" y="{y + 17}" fill="white">{_safe(grid.text(name, window))}</text></g>',
    ]


def _field(grid: Grid, name: str, window: Window) -> str:
    text, answer = grid.text(name, window), grid.answer(name, window)
    style = _STYLES[answer] if answer else "bold magenta"
    return f"[{style}]{text}[/]" if text else ""


def _safe(text: str) -> str:
    """Text for XML, which takes few control characters and no halves of pairs."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return escape("".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in plain))


def _note(point: Point) -> str:
    """What there is to say of a point that is not right."""
    if point.answer is Answer.MISLED:
        return f"the kernel acted on «{point.acted}», reported was {point.reported}"
    return point.why
