"""What commands share of the terminal: their own streams as bytes, single keys, options of commands in a guest."""

from __future__ import annotations

import contextlib
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from lab.errors import HostError

COMMAND_SECONDS = 600.0
STDOUT = Path("-")


def out(data: bytes) -> None:
    """Print what a guest's command printed, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def err(data: bytes) -> None:
    """The same on standard error."""
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()


def write(output: Path | None, text: str) -> None:
    """Write what a command was asked to write, `-` on standard output; HostError when the file cannot be written."""
    if output is None:
        return
    if output == STDOUT:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise HostError(f"{output} cannot be written: {error.strerror}", hint="name another file") from error


@contextlib.contextmanager
def raw(keys: int) -> Iterator[None]:
    """The terminal handing over every key as it is, and put back afterwards whatever happens."""
    before = termios.tcgetattr(keys)
    try:
        tty.setraw(keys, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


def guest_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command that runs one in a guest: `deadline` in seconds, `with_stdin`."""
    deadline = click.option(
        "--deadline",
        type=click.FloatRange(min=0, min_open=True),
        default=COMMAND_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="How long the command may take.",
    )
    stdin = click.option(
        "-i", "--stdin", "with_stdin", is_flag=True, help="Give the command our standard input, 1 MiB at most."
    )
    return deadline(stdin(command))
