"""`lab shell`: a terminal in a fresh guest, with the driver loaded."""

from __future__ import annotations

import contextlib
import os
import select
import sys

import click
import paramiko

from lab.cli.context import Wanted, guest, guest_options, notice, run_streamed, standard_input
from lab.cli.terminal import raw
from lab.errors import LabError
from lab.machines.machine import Machine
from lab.settings import Settings

_POLL = 0.2  # seconds between looks at the guest's life and the window's size
_CHUNK = 1 << 15
_LEAVE = b"\x1d"  # Ctrl-], as in telnet and virsh console: no key of a shell's, and it works on a guest that hangs
_SIZE = (80, 24)  # of a terminal that does not know its own
_PIPED_SECONDS = 3600.0


@click.command("shell")
@guest_options
@click.pass_obj
def shell(settings: Settings, wanted: Wanted) -> None:
    """Open a shell as root in a fresh guest; without a terminal, run the commands on standard input."""
    commands = b"" if sys.stdin.isatty() else standard_input()
    with guest(settings, wanted, "lab shell") as (machine, prepared):
        what = f"kernel {prepared.kernel.release}, {wanted.driver or 'no driver'}"
        if not sys.stdin.isatty():
            notice(what)
            run_streamed(machine, ["sh"], _PIPED_SECONDS, commands)
            return
        notice(f"{what}; the guest and all in it end with the shell (exit, or Ctrl-] at any time)")
        converse(machine, sys.stdin.fileno(), sys.stdout.fileno())


def converse(machine: Machine, keys: int, screen: int) -> None:
    """Connect a terminal with a shell in the guest until either ends; MachineLostError when the guest dies."""
    terminal = _Terminal(machine, keys)
    with contextlib.closing(terminal.channel), raw(keys):
        while terminal.serve():
            wanted: list[paramiko.Channel | int] = [terminal.channel]
            if not terminal.waiting:
                wanted.append(keys)
            ready, _, _ = select.select(wanted, [], [], _POLL)
            if terminal.channel in ready and not _show(terminal.channel, screen):
                break
            if keys in ready:
                terminal.waiting = _typed(keys)
                if not terminal.waiting or _LEAVE in terminal.waiting:
                    return
            machine.check()
        _demand_end(machine, terminal.channel)


class _Terminal:
    """The guest's side: a shell's channel, what it has still to be sent, and the size that it was told."""

    def __init__(self, machine: Machine, keys: int) -> None:
        self.waiting = b""
        self._keys = keys
        self._size = _size(keys)
        try:
            self.channel = machine.shell().interactive(*self._size, os.environ.get("TERM", "vt100"))
        except paramiko.SSHException as error:
            machine.check()
            raise LabError(f"the guest gives us no terminal: {error}", hint="lab run -- COMMAND needs none") from error

    def serve(self) -> bool:
        """Send what is due and can be sent now; False when the channel has been closed."""
        try:
            # Asked for and not told by SIGWINCH: a handler would enter paramiko while it holds its own locks.
            if (now := _size(self._keys)) != self._size:
                self._size = now
                self.channel.resize_pty(*now)
            if self.waiting and self.channel.send_ready():
                self.waiting = self.waiting[self.channel.send(self.waiting) :]
        except (paramiko.SSHException, OSError, EOFError):
            return False
        return True


def _show(channel: paramiko.Channel, screen: int) -> bool:
    """Put on the screen what has come; False when the guest closed the channel."""
    data = channel.recv(_CHUNK)
    rest = data
    while rest:
        rest = rest[os.write(screen, rest) :]
    return bool(data)


def _typed(keys: int) -> bytes:
    """What was typed; nothing when the terminal is gone (its window was closed)."""
    try:
        return os.read(keys, _CHUNK)
    except OSError:
        return b""


def _demand_end(machine: Machine, channel: paramiko.Channel) -> None:
    """MachineLostError unless it was the shell that ended: a guest that died closes its channels too."""
    while not channel.status_event.wait(_POLL):
        machine.check()
    if channel.recv_exit_status() < 0:
        machine.run(["true"])


def _size(terminal: int) -> tuple[int, int]:
    """Columns and rows."""
    try:
        columns, rows = os.get_terminal_size(terminal)
    except OSError:
        return _SIZE
    return (columns or _SIZE[0], rows or _SIZE[1])
