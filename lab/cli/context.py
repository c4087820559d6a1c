"""What several subcommands share: the options that name a cell, notices, and a guest for as long as a command lasts."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lab import arches
from lab.errors import LabError, RequestError
from lab.machines.machine import Machine
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks, started
from lab.matrix.provision import Lab, Prepared
from lab.settings import Settings
from lab.store import translate_disk_errors

# Held in memory as a whole: enough for a script, and `lab run` is no way to move files.
MAX_STDIN = 1 << 20
_BEHIND = "lab.behind-dashes"


def _go_offline(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.obj = ctx.obj.model_copy(update={"offline": True})


def _give(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Put what the user has of a driver into the settings, where it is looked for."""
    if value:
        ctx.obj = ctx.obj.model_copy(update={str(parameter.name): value})


_GIVEN = (
    click.option(
        "--driver-src",
        type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_give,
        help="A tree of the driver's sources, in place of its manifest's.",
    ),
    click.option(
        "--artifact",
        multiple=True,
        metavar="NAME:MODE=PATH",
        expose_value=False,
        callback=_give,
        help="The program that a driver's mode needs.",
    ),
)
_KERNEL = click.option(
    "--kernel", default="", metavar="REQUEST", help="6.12, 6.12.107, 5.10-full, ...; lab kernel list"
)
_ARCH = click.option("--arch", default="", metavar="ARCH", help="Architecture; the host's own when not given.")
_VM = click.option(
    "--vm",
    type=click.Choice(["fork", "boot"]),
    default="fork",
    show_default=True,
    help="Fork the guest from one that was saved, or boot it.",
)
_OFFLINE = click.option("--offline", is_flag=True, expose_value=False, callback=_go_offline, help="As `lab --offline`.")


def _driver(when_none: str) -> Callable[..., Any]:
    return click.option(
        "--driver", default="", metavar="NAME[@VERSION][+OPTION]:MODE", help=f"The driver to load; {when_none}."
    )


@dataclass(frozen=True)
class Wanted:
    """The guest that a command's options ask for, `vm` being how it is had: "fork" or "boot"."""

    kernel: str
    arch: str
    driver: str
    vm: str

    def cell(self, settings: Settings) -> Cell:
        """The cell that they name."""
        arch = arches.find(self.arch) if self.arch else arches.host()
        return Cell(self.kernel or settings.kernel, arch, self.driver)


def guest_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which guest it is for, as its argument `wanted`, and --offline."""

    @functools.wraps(command)
    def packed(*args: Any, kernel: str, arch: str, driver: str, vm: str, **more: Any) -> Any:
        return command(*args, wanted=Wanted(kernel, arch, driver, vm), **more)

    return _with(packed, _KERNEL, _ARCH, _driver("none when not given"), *_GIVEN, _VM, _OFFLINE)


def cell_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `guest_options`, for a command that has guests made in its own way, with a driver always."""

    @functools.wraps(command)
    def packed(*args: Any, kernel: str, arch: str, driver: str, **more: Any) -> Any:
        return command(*args, wanted=Wanted(kernel, arch, driver, "fork"), **more)

    return _with(packed, _KERNEL, _ARCH, _driver("the default one when not given"), *_GIVEN, _OFFLINE)


def _with(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def given_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for what the user has of a driver, which then stands in its settings."""
    return _with(command, *_GIVEN)


def notice(text: str) -> None:
    """Tell the user something. On standard error: standard output belongs to what was asked for."""
    click.echo(f"note: {text}", err=True)


@contextlib.contextmanager
def guest(
    settings: Settings, wanted: Wanted, purpose: str, *, more: tuple[str, ...] = ()
) -> Iterator[tuple[Machine, Prepared]]:
    """The guest that is wanted, ready and with its driver loaded, which ends with the block. `more` packages are in its
    root image."""
    lab = Lab(settings, notice)
    prepared = lab.prepare(wanted.cell(settings), more=more)
    with contextlib.ExitStack() as stack:

        def made(machine: Machine) -> None:
            stack.callback(machine.end)

        with translate_disk_errors(settings.run_dir):
            machine = started(lab, Forks(lab) if wanted.vm == "fork" else None, prepared, purpose, made)
        if prepared.driver:
            lab.deploy(machine, prepared)
        yield machine, prepared


class BeforeDashes(click.Command):
    """A command whose own words end at "--": what follows is a command for a guest (`behind_dashes`)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the first "--"."""
        at = args.index("--") if "--" in args else len(args)
        if at == len(args) - 1:
            raise click.UsageError("no command behind --", ctx)
        ctx.meta[_BEHIND] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


def behind_dashes() -> tuple[str, ...]:
    """The words behind "--" of a `BeforeDashes`; none when it was given none."""
    words: tuple[str, ...] = click.get_current_context().meta[_BEHIND]
    return words


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
