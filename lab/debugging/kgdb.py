"""The kernel's own gdb stub (KGDB) on a machine's second serial line, which is kgdboc's."""

from __future__ import annotations

import time

from lab.errors import CommandTimeoutError
from lab.machines.machine import Machine

_LINE = "/sys/module/kgdboc/parameters/kgdboc"
_ENTER_DEADLINE = 10.0  # on hardware
# What kdb, which stands before it, says on the console; the first packet of a gdb makes it give way.
_ENTERED = b"Entering kdb"
# panic: an oops comes there only where a panic would not reboot.
_TAKE = f'echo "$1" >{_LINE} && echo 1 >/proc/sys/kernel/sysrq && echo 0 >/proc/sys/kernel/panic'
# The write never returns while the kernel stands: a process of its own waits for it.
_ENTER = "(sleep 0.2; echo g >/proc/sysrq-trigger) >/dev/null 2>&1 &"


def second_line(console: str) -> str:
    """The serial line behind the console's: ttyS0 -> ttyS1."""
    return f"{console[:-1]}{int(console[-1]) + 1}"


def enter_kgdb(machine: Machine) -> None:
    """Stop the kernel in its own debugger, which then answers a gdb on `machine.debug_line`.

    AssertionError when the kernel does not take the line, CommandTimeoutError when it does not get there.
    """
    machine.run(["sh", "-c", _TAKE, "sh", f"{second_line(machine.spec.arch.console)},115200"])
    before = len(machine.console.read())
    machine.run(["sh", "-c", _ENTER])
    seconds = machine.scaled(_ENTER_DEADLINE)
    end = time.monotonic() + seconds
    said = b""
    while _ENTERED not in said:
        said = machine.console.read()[before:]
        machine.check()
        left = end - time.monotonic()
        if left <= 0:
            raise CommandTimeoutError(f"the kernel did not enter its debugger within {seconds:.0f} s of SysRq-g")
        machine.console.wait_past(before + len(said), min(1.0, left))
