"""`lab trace`: ftrace and bpftrace against a machine that runs already, or around a command in a fresh one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from lab.cli.context import (
    BeforeDashes,
    ReaderGoneError,
    Wanted,
    behind_dashes,
    guest,
    guest_options,
    notice,
)
from lab.errors import LabError
from lab.evidence.bpftrace import PACKAGE, Found, demand_arch, put_into, tracing
from lab.evidence.ftrace import Guest
from lab.evidence.live import LONGEST, Live, Wish, following
from lab.machines.visitor import Visited, Visitor, find_machine
from lab.settings import Settings
from lab.store import Store


@dataclass(frozen=True)
class _Asked:
    """What is to be traced, by which engine, in which machine (empty: a fresh one), for how long (None: until COMMAND
    or Ctrl-C), around which command."""

    name: str
    wish: Wish
    program: str
    seconds: float | None
    command: tuple[str, ...]


def _several(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    """Words given one an option, or with commas or blanks between them."""
    return tuple(word for value in values for word in value.replace(",", " ").split())


@click.command("trace", cls=BeforeDashes, options_metavar="[OPTIONS]")
@click.argument("name", metavar="[ID] [-- COMMAND...]", required=False, default="")
@click.option(
    "--functions",
    multiple=True,
    callback=_several,
    metavar="NAME,...",
    help="The graph of these functions of the kernel, and of all they call; module:NAME for all of a module.",
)
@click.option("--depth", type=click.IntRange(0, 100), default=0, metavar="N", help="How deep; 0, the default, is all.")
@click.option(
    "--events",
    multiple=True,
    callback=_several,
    metavar="SYSTEM:EVENT,...",
    help="Trace events; SYSTEM:* is all of it.",
)
@click.option("-e", "--bpftrace", "program", default="", metavar="PROGRAM", help="What this bpftrace program prints.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True, max=LONGEST),
    metavar="SECONDS",
    help="End after that time; else COMMAND's end is the trace's, or Ctrl-C.",
)
@guest_options
@click.pass_obj
def trace(settings: Settings, /, name: str, wanted: Wanted, program: str, seconds: float | None, **more: Any) -> None:
    """Trace the kernel of the running machine ID (`lab keep list`), or of a fresh guest, line by line as it happens.

    With COMMAND while that runs there as root, what it prints going to standard error; a fresh guest needs one. The
    tracer is switched off at the end, whatever ends it.
    """
    asked = _Asked(name, Wish(**more), program, seconds, behind_dashes())
    _demand_sense(asked, wanted)
    if program and not name:
        demand_arch(wanted.cell(settings).arch)
    with _target(settings, wanted, asked) as target, _traced(settings, target, asked) as live:
        _go(target, live, asked)
    if live.names:
        notice("tasks that the trace does not name: " + ", ".join(f"{pid} is {of}" for pid, of in live.names.items()))
    if live.lost:
        notice(f"{live.lost} entries found no room in the guest's buffer: trace less at once")


def _demand_sense(asked: _Asked, wanted: Wanted) -> None:
    """click.UsageError for options that contradict each other."""
    if sum(map(bool, (asked.wish.functions, asked.wish.events, asked.program))) != 1:
        raise click.UsageError("one of --functions, --events and -e says what to trace")
    if asked.wish.depth and not asked.wish.functions:
        raise click.UsageError("--depth is for --functions")
    if asked.seconds and asked.command:
        raise click.UsageError("--for is for a trace without a command: COMMAND's end is the trace's")
    if asked.name and (wanted.kernel or wanted.arch or wanted.driver):
        raise click.UsageError(f"{asked.name} runs already: --kernel, --arch and --driver are for a fresh guest")
    if not asked.name and not asked.command:
        raise click.UsageError("a fresh guest needs a command: lab trace ... -- COMMAND; or name a machine that runs")


@contextlib.contextmanager
def _target(settings: Settings, wanted: Wanted, asked: _Asked) -> Iterator[Guest]:
    """The guest that runs already, or a fresh one for as long as the block."""
    if asked.name:
        yield Visited(Visitor(settings.run_dir / find_machine(settings.run_dir, asked.name).name))
        return
    with guest(settings, wanted, "lab trace", more=(PACKAGE,) if asked.program else ()) as (machine, _):
        yield machine


def _traced(settings: Settings, target: Guest, asked: _Asked) -> contextlib.AbstractContextManager[Live]:
    if not asked.program:
        return following(target, asked.wish, _out)

    def put(found: Found) -> str:
        store = Store(settings.store, min_free_mib=settings.min_free_mib, notice=notice)
        return put_into(target, found, store, settings, notice)

    return tracing(target, asked.program, _out, put)


def _go(target: Guest, live: Live, asked: _Asked) -> None:
    """Wait for what ends the trace."""
    if asked.command:
        done = target.run(asked.command, check=False, deadline=LONGEST, stdout=_err, stderr=_err)
        live.check()
        if done.status != 0:
            notice(f"{asked.command[0]} {done.ended}")
        return
    notice("tracing" + (f" for {asked.seconds:g} s" if asked.seconds else "; Ctrl-C ends it"))
    # Ctrl-C is how a trace is ended that has no other end.
    with contextlib.suppress(KeyboardInterrupt):
        if live.wait(asked.seconds or LONGEST) and live.status != 0:
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
