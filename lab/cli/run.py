"""`lab run`: one command in a fresh guest."""

from __future__ import annotations

import click

from lab.cli.context import Wanted, guest, guest_options, run_streamed, standard_input
from lab.settings import Settings

_SECONDS = 600.0


@click.command("run", context_settings={"allow_interspersed_args": False})
@guest_options
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long the command may take.",
)
@click.option("-i", "--stdin", "with_stdin", is_flag=True, help="Give the command our standard input, 1 MiB at most.")
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@click.pass_obj
def run(settings: Settings, wanted: Wanted, deadline: float, with_stdin: bool, command: tuple[str, ...]) -> int:
    """Run COMMAND as root in a fresh guest and return its exit status; 125 when the lab itself failed."""
    stdin = standard_input() if with_stdin else b""
    with guest(settings, wanted, "lab run") as (machine, _):
        return run_streamed(machine, command, deadline, stdin)
