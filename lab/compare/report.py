"""The table of a comparison: for people in a terminal, and in Markdown for docs/detection.md. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lab.compare.actions import Action
from lab.compare.comparison import Column, Compared
from lab.compare.judge import Answer, Sight

_PIPE_WIDTH = 200
_WORDS = {
    Answer.ALL: "yes",
    Answer.UNSEEN: "NO",
    Answer.UNKNOWN: "?",
    Answer.BLIND: "-",
    Answer.IMPOSSIBLE: "n/a",
}
_STYLES = {
    Answer.ALL: "green",
    Answer.PARTLY: "yellow",
    Answer.OTHERWISE: "bold red",
    Answer.UNSEEN: "bold red",
    Answer.UNKNOWN: "magenta",
    Answer.BLIND: "dim",
    Answer.IMPOSSIBLE: "dim",
}
LEGEND = (
    "yes: reported, with everything that is asked of it. without X: reported, but not X. other X: reported, with "
    "another X, below. NO: not reported. -: this driver, as the lab runs it, does not look at such calls. ?: not "
    "reported, but events were dropped. n/a: it cannot be done there."
)


def show(compared: Compared, actions: Sequence[Action], console: Console | None = None) -> None:
    """Print the table: a row an action, a column a driver; and what explains it."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(compared.title, soft_wrap=True, markup=False, highlight=False)
    table = Table("", *(column.driver for column in compared.ran), box=None, pad_edge=False)
    for number, action in enumerate(actions):
        table.add_row(action.name, *(_styled(column.sights[number]) for column in compared.ran))
    console.print(table)
    for line in (LEGEND, *notes(compared.columns)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def markdown(
    tables: Sequence[Compared], actions: Sequence[Action], *, date: str, command: str, facts: Sequence[str]
) -> str:
    """The page docs/detection.md, a table a kernel; `facts` are lines on what it was made with."""
    lines = [
        "# Detection",
        "",
        f"The same actions under every driver. Made by `{command}` on {date}; no line of it is written by hand.",
        "",
        *facts,
        "",
        LEGEND,
        "",
    ]
    for compared in tables:
        lines += _section(compared, actions)
    return "\n".join(lines)


def _section(compared: Compared, actions: Sequence[Action]) -> list[str]:
    there = compared.ran
    lines = [
        f"## {compared.title}",
        "",
        f"Drivers: {', '.join(_named(column) for column in there) or 'none'}.",
        "",
        "| action | " + " | ".join(column.driver for column in there) + " |",
        "|---" * (len(there) + 1) + "|",
    ]
    for number, action in enumerate(actions):
        fields = [_escaped(text(column.sights[number])) for column in there]
        lines.append(f"| {action.name}: {action.what} | " + " | ".join(fields) + " |")
    return [*lines, "", *(f"- {_escaped(note)}" for note in notes(compared.columns)), ""]


def text(sight: Sight) -> str:
    """What stands in a field."""
    if sight.answer in _WORDS:
        return _WORDS[sight.answer]
    parts = [f"other {', '.join(name for name, _ in sight.otherwise)}"] if sight.otherwise else []
    parts += [f"without {', '.join(sight.untold)}"] if sight.untold else []
    return "; ".join(parts)


def notes(columns: Sequence[Column]) -> list[str]:
    """Who said what else, why something could not be done, and of which drivers nothing can be said; each once."""
    found: dict[str, list[str]] = {}
    for column in columns:
        for sight in column.sights:
            said = [f"{name} {value}" for name, value in sight.otherwise] + ([sight.why] if sight.why else [])
            for what in said:
                found.setdefault(f"{sight.action}: {what}", []).append(column.driver)
    lines = [f"{what} ({', '.join(drivers)})" for what, drivers in found.items()]
    return [*lines, *(f"{column.driver}: {_short(column.why)}" for column in columns if column.why)]


def _styled(sight: Sight) -> str:
    return f"[{_STYLES[sight.answer]}]{text(sight)}[/]"


def _named(column: Column) -> str:
    return f"{column.driver} {column.version}".strip()


def _short(why: str) -> str:
    """A build's error without the source's lines that a compiler shows behind it."""
    return " ".join(re.split(r" \d+ \| |\nLog:", why)[0].split())


def _escaped(words: str) -> str:
    """Words in a field of a table: a guest's bytes may be among them."""
    plain = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in words)
    return re.sub(r"([|`*_<>\[\]\\])", r"\\\1", plain)
