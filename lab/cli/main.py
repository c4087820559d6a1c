"""The `lab` command: its subcommands, and the one place where what went wrong becomes words and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

from lab.cli.bench import bench
from lab.cli.compare import compare
from lab.cli.console import console
from lab.cli.context import ReaderGoneError
from lab.cli.debug import debug
from lab.cli.doctor import doctor
from lab.cli.driver import driver
from lab.cli.exec import exec_
from lab.cli.gc import gc
from lab.cli.keep import keep
from lab.cli.kernel import kernel
from lab.cli.lock import lock
from lab.cli.matrix import matrix
from lab.cli.racemap import race_map
from lab.cli.repro import repro
from lab.cli.run import run
from lab.cli.shell import shell
from lab.cli.trace import trace
from lab.errors import ExitCode, LabError
from lab.machines.record import reap
from lab.settings import load

# These return the guest's own status, so that the lab's failures need one of their own.
_RETURN_THE_GUESTS = frozenset({"run", "exec"})
# They tell what is wrong with the host, or mend it, instead of ending because of it.
_LOOK_ONLY = frozenset({"doctor", "gc"})
_BY_SIGNAL = 128  # as shells say it


class Commands(click.Group):
    """A group whose subcommands' errors are told in their own words."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand and return its exit status; a LabError becomes its text and its code."""
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"lab: {error}", err=True)
            return ExitCode.RUN_FAILED if ctx.invoked_subcommand in _RETURN_THE_GUESTS else error.exit_code


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kernel-lab", prog_name="lab", message="%(prog)s %(version)s")
@click.option("--offline", is_flag=True, help="Never use the network, only what is in the store.")
@click.pass_context
def lab(ctx: click.Context, offline: bool) -> None:
    """A kernel-in-VM lab for drivers that watch system calls."""
    settings = load()
    ctx.obj = settings.model_copy(update={"offline": True}) if offline else settings
    if ctx.invoked_subcommand not in _LOOK_ONLY:
        reap(ctx.obj.run_dir)


lab.add_command(bench)
lab.add_command(compare)
lab.add_command(console)
lab.add_command(debug)
lab.add_command(doctor)
lab.add_command(driver)
lab.add_command(exec_)
lab.add_command(gc)
lab.add_command(keep)
lab.add_command(kernel)
lab.add_command(lock)
lab.add_command(matrix)
lab.add_command(race_map)
lab.add_command(repro)
lab.add_command(run)
lab.add_command(shell)
lab.add_command(trace)


def main(argv: Sequence[str]) -> int:
    """Run `lab` with these arguments; returns the exit status."""
    try:
        status = lab.main(args=list(argv), prog_name="lab", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # what click makes of Ctrl-C, after every `with` has been left
        click.echo("lab: interrupted", err=True)
        return _BY_SIGNAL + signal.SIGINT
    except ReaderGoneError:
        # The interpreter flushes standard output at its end, and must find somebody there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BY_SIGNAL + signal.SIGPIPE
    return int(status or 0)


def entrypoint() -> None:
    """The console script."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    sys.exit(main(sys.argv[1:]))


def _leave(number: int, _: FrameType | None) -> None:
    """End as after Ctrl-C, with everything cleaned up, instead of on the spot."""
    sys.exit(_BY_SIGNAL + number)
