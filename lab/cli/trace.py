"""`lab trace`: ftrace and bpftrace against a machine that runs already, or around a command in a fresh one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from lab.cli.context import ReaderGoneError, Wanted, guest, guest_options, notice
from lab.errors import LabError
from lab.evidence.ftrace import Guest
from lab.evidence.live import LONGEST, Live, Wish, following
from lab.machines.visitor import Visited, Visitor, find_machine
from lab.settings import Settings

_COMMAND = "lab.trace.command"


class _BeforeDashes(click.Command):
    """A command whose arguments end at "--": what follows is a guest's command, kept for `_behind_dashes`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the first "--"."""
        at = args.index("--") if "--" in args else len(args)
        if at == len(args) - 1:
            raise click.UsageError("no command behind --", ctx)
        ctx.meta[_COMMAND] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


def _several(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    """Words given one an option, or with commas or blanks between them."""
    return tuple(word for value in values for word in value.replace(",", " ").split())


@click.command(
    "trace",
    cls=_BeforeDashes,
    options_metavar="[OPTIONS] (--functions F | --events E | -e PROGRAM)",
    epilog="[-- COMMAND]",
)
@click.argument("name", metavar="[ID]", required=False)
@click.option(
    "--functions",
    multiple=True,
    callback=_several,
    metavar="NAME,...",
    help="The graph of these functions of the kernel, and of all they call; module:NAME for all of a module.",
)
@click.option("--depth", type=click.IntRange(0, 100), default=0, metavar="N", help="How deep; 0, the default, is all.")
@click.option(
    "--events", multiple=True, callback=_several, metavar="SYSTEM:EVENT,...", help="Trace events, such as syscalls:*."
)
@click.option("-e", "--bpftrace", "program", default="", metavar="PROGRAM", help="What bpftrace makes of PROGRAM.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True, max=LONGEST),
    metavar="SECONDS",
    help="End after that time; else with COMMAND, or with Ctrl-C, or after an hour.",
)
@guest_options
@click.pass_context
def trace(  # noqa: PLR0913 - a parameter for each option
    ctx: click.Context,
    name: str | None,
    functions: tuple[str, ...],
    depth: int,
    events: tuple[str, ...],
    program: str,
    seconds: float | None,
    wanted: Wanted,
) -> None:
    """Trace the kernel of the running machine ID (`lab keep list`), or of a fresh guest, line by line as it happens.

    With `-- COMMAND` while COMMAND runs in that guest as root, what it prints going to standard error; a fresh guest
    needs one. The tracer is switched off at the end, whatever ends it.
    """
    command: tuple[str, ...] = ctx.meta[_COMMAND]
    if sum(map(bool, (functions, events, program))) != 1:
        raise click.UsageError("one of --functions, --events and -e says what to trace")
    if depth and not functions:
        raise click.UsageError("--depth is for --functions")
    if seconds and command:
        raise click.UsageError("--for is for a trace without a command: COMMAND's end is the trace's")
    if name and (wanted.kernel or wanted.arch or wanted.driver):
        raise click.UsageError(f"machine {name} runs already: --kernel, --arch and --driver are for a fresh guest")
    if not name and not command:
        raise click.UsageError("a fresh guest needs a command to trace: lab trace ... -- COMMAND, or lab trace ID ...")
    with (
        _target(ctx.obj, wanted, name) as target,
        _traced(ctx.obj, target, Wish(functions, events, depth), program) as live,
    ):
        _go(target, live, command, seconds)
    if live.lost:
        notice(f"{live.lost} entries found no room in the guest's buffer: trace less at once")


@contextlib.contextmanager
def _target(settings: Settings, wanted: Wanted, name: str | None) -> Iterator[Guest]:
    """The guest that runs already, or a fresh one for as long as the block."""
    if name:
        yield Visited(Visitor(settings.run_dir / find_machine(settings.run_dir, name).name))
        return
    with guest(settings, wanted, "lab trace") as (machine, _):
        yield machine


def _traced(settings: Settings, target: Guest, wish: Wish, program: str) -> contextlib.AbstractContextManager[Live]:
    if not program:
        return following(target, wish, _out)
    from lab.evidence.bpftrace import tracing  # noqa: PLC0415 - only who uses it needs packages

    return tracing(target, program, _out, settings, notice)


def _go(target: Guest, live: Live, command: Sequence[str], seconds: float | None) -> None:
    """Wait for what ends the trace."""
    if command:
        done = target.run(command, check=False, deadline=LONGEST, stdout=_err, stderr=_err)
        live.check()
        if done.status != 0:
            notice(f"{command[0]} {done.ended}")
        return
    notice("tracing" + (f" for {seconds:g} s" if seconds else "; Ctrl-C ends it"))
    # Ctrl-C is how a trace is ended that has no other end.
    with contextlib.suppress(KeyboardInterrupt):
        if live.wait(seconds or LONGEST) and live.status != 0:
            raise LabError(f"the trace ended by itself: {live.said.strip()[-300:] or f'status {live.status}'}")


def _out(data: bytes) -> None:
    _write(sys.stdout.buffer, data)


def _err(data: bytes) -> None:
    _write(sys.stderr.buffer, data)


def _write(stream: Any, data: bytes) -> None:
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error
