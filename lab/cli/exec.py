"""`lab exec`: one command in a guest that runs already.

Also `python -m lab.cli.exec`, which is the same without loading all the rest of the lab: the bpftool fixture's way.
"""

from __future__ import annotations

import sys

import click

from lab.cli.terminal import err, guest_command, out
from lab.errors import ExitCode, LabError, RequestError
from lab.machines.door import MAX_STDIN
from lab.machines.visitor import Visitor, find_machine
from lab.settings import Settings, load


@click.command("exec", context_settings={"allow_interspersed_args": False})
@guest_command
@click.argument("name", metavar="ID")
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@click.pass_obj
def exec_(settings: Settings, deadline: float, with_stdin: bool, name: str, command: tuple[str, ...]) -> int:
    """Run COMMAND as root in the running machine ID (`lab keep list`) and return its exit status; 125 when the lab
    itself failed."""
    record = find_machine(settings.run_dir, name)
    # click leaves the "--" behind an argument where it is.
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise click.UsageError("no command behind --")
    status = Visitor(settings.run_dir / record.name).run(words, deadline, out, err, stdin=_input(with_stdin))
    return status if status >= 0 else 128 - status


def _input(wanted: bool) -> bytes:
    data = sys.stdin.buffer.read(MAX_STDIN + 1) if wanted else b""
    if len(data) > MAX_STDIN:
        raise RequestError("standard input holds more than 1 MiB", hint="let the guest make its data itself")
    return data


def main() -> int:
    """`python -m lab.cli.exec`."""
    try:
        return int(exec_.main(args=sys.argv[1:], prog_name="lab exec", obj=load(), standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LabError as error:
        click.echo(f"lab: {error}", err=True)
        return ExitCode.RUN_FAILED


if __name__ == "__main__":
    sys.exit(main())
