"""What several subcommands share: the options that name a cell, notices, and a guest for as long as a command lasts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from lab import arches
from lab.errors import LabError, RequestError
from lab.machines.machine import Machine
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab, Prepared
from lab.settings import Settings
from lab.store import translate_disk_errors

# Held in memory as a whole: enough for a script, and `lab run` is no way to move files.
MAX_STDIN = 1 << 20


def _go_offline(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.obj = ctx.obj.model_copy(update={"offline": True})


_OPTIONS = (
    click.option("--kernel", default="", metavar="REQUEST", help="6.12, 6.12.107, 5.10-full, ...; lab kernel list"),
    click.option("--arch", default="", metavar="ARCH", help="Architecture; the host's own when not given."),
    click.option("--driver", default="", metavar="NAME:MODE", help="The driver to load; none when not given."),
    click.option("--offline", is_flag=True, expose_value=False, callback=_go_offline, help="As `lab --offline`."),
)


def cell_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --kernel, --arch, --driver and --offline."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def one_cell(settings: Settings, kernel: str, arch: str, driver: str) -> Cell:
    """The cell that the options name."""
    return Cell(kernel or settings.kernel, arches.find(arch) if arch else arches.host(), driver)


def notice(text: str) -> None:
    """Tell the user something. On standard error: standard output belongs to what was asked for."""
    click.echo(f"note: {text}", err=True)


@contextlib.contextmanager
def guest(settings: Settings, cell: Cell, purpose: str) -> Iterator[tuple[Machine, Prepared]]:
    """A guest of that cell, ready and with its driver loaded, which ends with the block."""
    lab = Lab(settings, notice)
    prepared = lab.prepare(cell)
    with contextlib.ExitStack() as stack:
        with translate_disk_errors(settings.run_dir):
            machine = stack.enter_context(lab.machine(prepared, purpose))
            machine.start()
        if prepared.driver:
            lab.deploy(machine, prepared)
        yield machine, prepared


def standard_input() -> bytes:
    """All of our standard input; RequestError when it is more than a command in a guest can be given."""
    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(data) > MAX_STDIN:
        raise RequestError(
            f"standard input holds more than {MAX_STDIN >> 10} KiB", hint="let the guest make its data itself"
        )
    return data


def run_streamed(machine: Machine, argv: Sequence[str], seconds: float, stdin: bytes) -> int:
    """Run a program in the guest, what it prints going out as it comes; `seconds` are the clock's, on any machine.

    Returns its exit status: 128 + N when signal N ended it, as shells have it.
    """
    # machine.run takes a deadline written for hardware and stretches it.
    hardware = seconds / machine.scaled(1.0)
    out, err = sys.stdout.buffer, sys.stderr.buffer
    result = machine.run(
        argv,
        check=False,
        deadline=hardware,
        stdin=stdin,
        stdout=lambda data: _write(out, data),
        stderr=lambda data: _write(err, data),
    )
    return result.status if result.status >= 0 else 128 - result.status


def _write(stream: Any, data: bytes) -> None:
    """Not an OSError: to the shell that calls this one, it would mean that the connection to the guest broke."""
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error
    except OSError as error:
        raise LabError(f"what the guest printed cannot be written: {error.strerror}") from error


class ReaderGoneError(Exception):
    """Nobody reads our standard output any more."""
