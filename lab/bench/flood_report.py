"""What floods showed, for people as a table and for programs as JSON with every flood."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.bench.flood import Flood

SCHEMA = 1
_PIPE_WIDTH = 120
_COLUMNS = ("made/s", "unwatched", "delivered/s", "delivered", "dropped", "in silence")


def as_json(floods: Sequence[Flood], facts: Mapping[str, Any]) -> str:
    """The JSON that docs/reference.md describes."""
    listed = [{**asdict(flood), "silent": flood.silent} for flood in floods]
    return json.dumps({"schema": SCHEMA, **facts, "floods": listed}, indent=1)


def show(floods: Sequence[Flood], title: str, console: Console | None = None) -> None:
    """Print the table: a row a kind of call, medians of its floods; what was lost in silence is their sum."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(title, soft_wrap=True, markup=False, highlight=False)
    table = Table("", *_COLUMNS, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind in dict.fromkeys(flood.kind for flood in floods):
        table.add_row(kind, *row([flood for flood in floods if flood.kind == kind]))
    console.print(table)


def row(floods: Sequence[Flood]) -> tuple[str, ...]:
    """The fields of one kind's row, in the order of the columns."""
    drops = [flood.dropped for flood in floods if flood.dropped is not None]
    return (
        f"{median(flood.made / flood.seconds for flood in floods):.0f}",
        f"{median(flood.made / flood.alone for flood in floods):.0f}",
        f"{median(flood.delivered / flood.until for flood in floods):.0f}",
        f"{median(100 * flood.delivered / flood.made for flood in floods):.1f} %",
        f"{median(drops):.0f}" if drops else "not told",
        f"{sum(flood.silent for flood in floods)}",
    )
