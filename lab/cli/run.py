"""`lab run`: one command in a fresh guest."""

from __future__ import annotations

import click

from lab.cli.context import Wanted, guest, guest_options, run_streamed, standard_input
from lab.cli.terminal import guest_command
from lab.settings import Settings


@click.command("run", context_settings={"allow_interspersed_args": False})
@guest_options
@guest_command
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@click.pass_obj
def run(settings: Settings, wanted: Wanted, deadline: float, with_stdin: bool, command: tuple[str, ...]) -> int:
    """Run COMMAND as root in a fresh guest and return its exit status; 125 when the lab itself failed."""
    stdin = standard_input() if with_stdin else b""
    with guest(settings, wanted, "lab run") as (machine, _):
        return run_streamed(machine, command, deadline, stdin)
