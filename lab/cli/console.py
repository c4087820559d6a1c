"""`lab console`: the serial console of a machine that runs, from its first line."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path

import click

from lab.cli.terminal import raw
from lab.errors import LabError
from lab.machines.record import living
from lab.machines.visitor import Visitor, find_machine
from lab.settings import Settings

_POLL = 0.1  # seconds between looks at what has come
_CHUNK = 1 << 16
_LEAVE = b"\x1d"  # Ctrl-]
# A shell on the serial line; the guest has none of itself.
_SHELL = 'setsid -f sh -c \'exec sh -i <"$0" >"$0" 2>&1\' "/dev/$1"'


@click.command("console")
@click.argument("name", metavar="ID")
@click.option("--log", type=click.Path(path_type=Path), metavar="FILE", help="Also keep what is shown in FILE.")
@click.option("--shell", "with_shell", is_flag=True, help="Start a shell on it first.")
@click.option("--no-follow", is_flag=True, help="Show what was printed until now, and leave.")
@click.pass_obj
def console(settings: Settings, name: str, log: Path | None, with_shell: bool, no_follow: bool) -> None:
    """Show the serial console of machine ID from its first line on, and send it what is typed; Ctrl-] leaves."""
    record = find_machine(settings.run_dir, name)
    visitor = Visitor(settings.run_dir / record.name)
    if with_shell:
        _start_shell(visitor)
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(log.open("wb")) if log else None
        stream = stack.enter_context((visitor.folder / "console.raw").open("rb"))
        keys = sys.stdin.fileno()
        if not no_follow and os.isatty(keys):
            stack.enter_context(raw(keys))
        while True:
            while data := stream.read(_CHUNK):
                if kept:
                    kept.write(data)
                sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            if no_follow or not _lives(settings, record.name):
                return
            if not _type(visitor, keys):
                return


def _type(visitor: Visitor, keys: int) -> bool:
    """Send what was typed meanwhile; False when it is time to leave."""
    ready, _, _ = select.select([keys], [], [], _POLL)
    if not ready:
        return True
    typed = os.read(keys, _CHUNK)
    if not typed or _LEAVE in typed:
        return False
    visitor.type(typed)
    return True


def _lives(settings: Settings, name: str) -> bool:
    return any(record.name == name for record in living(settings.run_dir))


def _start_shell(visitor: Visitor) -> None:
    err = bytearray()
    tty_name = bytearray()
    visitor.run(["sh", "-c", "cat /sys/class/tty/console/active"], 30, tty_name.extend, err.extend)
    words = tty_name.decode(errors="replace").split()
    if not words or visitor.run(["sh", "-c", _SHELL, "sh", words[-1]], 30, err.extend, err.extend) != 0:
        raise LabError(f"no shell could be started on the console: {err.decode(errors='replace').strip()[:300]}")
