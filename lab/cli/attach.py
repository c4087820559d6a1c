"""A prompt whose lines are run in a machine that somebody else's process owns."""

from __future__ import annotations

from typing import TextIO

import click

from lab.cli.terminal import err, out
from lab.errors import LabError
from lab.machines.visitor import Visitor

_SECONDS = 3600.0
# Each line is a shell of its own; where the one before it was is where the next one is.
_LINE = """
[ -r /run/lab/attached ] && cd "$(cat /run/lab/attached)"
eval "$1"
status=$?
pwd >/run/lab/attached
exit $status
"""


def attach(visitor: Visitor, lines: TextIO, *, interactive: bool) -> int:
    """Run each line in the guest's shell and show what it prints; returns the last one's status."""
    if interactive:
        import readline  # noqa: F401, PLC0415 - gives input() its history; only for terminals

        click.echo("each line is a command of its own; Ctrl-D leaves, the machine stays", err=True)
    status = 0
    while (line := _next(lines, f"{visitor.folder.name}# " if interactive else "")) is not None:
        if not line.strip():
            continue
        try:
            status = visitor.run(["sh", "-c", _LINE, "sh", line], _SECONDS, out, err)
        except LabError as error:
            click.echo(f"lab: {error}", err=True)
            status = 125
            if not interactive:
                break
    return status if status >= 0 else 128 - status


def _next(lines: TextIO, prompt: str) -> str | None:
    if not prompt:
        return lines.readline() or None
    try:
        return input(prompt)
    except EOFError:
        return None
