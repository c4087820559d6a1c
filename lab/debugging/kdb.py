"""The kernel's own debugger: kdb on a guest's console, entered by SysRq, by an oops or by a breakpoint of its own.

The console is kgdboc's line, chosen while the guest runs: no second line is needed, and forks have it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pexpect
from pexpect.spawnbase import SpawnBase

from lab.errors import CommandTimeoutError, LabError, UnsupportedError
from lab.kernels.kernel import Kernel
from lab.machines.machine import Machine

KERNEL = "build:6.12+kgdb"
COMMAND_DEADLINE = 10.0  # on hardware
_LINE = "/sys/module/kgdboc/parameters/kgdboc"
_PROMPT = re.compile(rb"\[(\d+)\]kdb> ")
_MORE = re.compile(rb"more> ")
_WHERE = rb"\((?:current=)?0x[0-9a-f]+, pid \d+\) (?:on processor \d+ )?"
_ENTERED = re.compile(rb"Entering kdb " + _WHERE + rb"(?:due to )?([^\r\n]+)[\r\n]")
_TASK = re.compile(r"^0x([0-9a-f]+)\s+(\d+)\s+(\d+)\s+[01*]\s+(\d+)\s+(\S)\s+0x[0-9a-f]+\s*(\*?)(.*)$", re.MULTILINE)
_AT_PROMPT = re.compile(rb"\[\d+\]kdb> \Z")
_OOPS = b"Oops"
_TWICE = re.compile(rb"kdb_continue_catastrophic=0")
_ONCE = re.compile(rb"kdb_continue_catastrophic=[1-9]")
_AT_MORE = re.compile(rb"more> \Z")
_TAIL = 100
_POLL = 0.05
_MOST = 1 << 20


# Generic for type checkers only.
if TYPE_CHECKING:
    _Spawn = SpawnBase[bytes]
else:
    _Spawn = SpawnBase


class _ConsoleSpawn(_Spawn):
    """pexpect over a machine's console: what the machine's own reader keeps is read, what is typed is sent."""

    def __init__(self, machine: Machine, timeout: float) -> None:
        super().__init__(timeout=timeout, maxread=_MOST)
        self._machine = machine
        self._at = len(machine.console.read())

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> bytes:
        """What came since the last look, after waiting for it."""
        end = time.monotonic() + (timeout or 0.0)
        while True:
            data: bytes = self._machine.console.wait_past(self._at, min(_POLL * 4, max(0.0, end - time.monotonic())))
            if data:
                self._at += len(data[:size])
                return data[:size]
            self._machine.check()
            if time.monotonic() >= end:
                raise pexpect.TIMEOUT("nothing came")

    def send(self, text: bytes) -> int:
        """Type on the console."""
        self._machine.console.type(text)
        return len(text)


@dataclass(frozen=True)
class KdbTask:
    """A task as kdb's `ps A` lists it; `current`: a CPU runs it."""

    pid: int
    comm: str
    state: str
    cpu: int
    current: bool


def demand_kgdb(kernel: Kernel) -> None:
    """UnsupportedError, naming a kernel that has it, when the kernel lacks KGDB, kdb or the serial line."""
    for name in ("KGDB", "KGDB_SERIAL_CONSOLE", "KGDB_KDB"):
        if kernel.option(name) != "y":
            raise UnsupportedError(
                f"kernel {kernel.release} lacks CONFIG_{name}; {KERNEL} has it", hint=f"--kernel {KERNEL}"
            )


class Kdb:
    """kdb of one machine."""

    def __init__(self, machine: Machine, kernel: Kernel) -> None:
        """Make the console kgdboc's line. UnsupportedError when the kernel has no kdb."""
        demand_kgdb(kernel)
        self._machine = machine
        self.inside = False
        console = machine.spec.arch.console
        # An oops comes here only where a panic would not reboot (kgdb_handle_exception, of any signal but SIGTRAP).
        sysctls = "echo 1 >/proc/sys/kernel/sysrq && echo 0 >/proc/sys/kernel/panic"
        machine.run(["sh", "-c", f"echo {console} >{_LINE} && {sysctls}"])
        self._spawn = _ConsoleSpawn(machine, machine.scaled(COMMAND_DEADLINE))

    def enter(self) -> str:
        """Stop the kernel in kdb by SysRq-g; returns why, in kdb's words. LabError when it does not get there."""
        # The write never returns while kdb has the machine: a process of its own waits for it.
        self._machine.run(["sh", "-c", "(sleep 0.2; echo g >/proc/sysrq-trigger) >/dev/null 2>&1 &"])
        return self.wait()

    def wait(self, deadline: float = COMMAND_DEADLINE) -> str:
        """Wait until something brings the kernel into kdb: an oops, a breakpoint; `deadline` in seconds on hardware."""
        self._expect([_ENTERED], "kdb", self._machine.scaled(deadline))
        match = self._spawn.match
        reason = match.group(1).decode(errors="replace").strip() if isinstance(match, re.Match) else ""
        # Its pager stops an oops that has more lines than a screen.
        while self._expect([_PROMPT, _MORE], "kdb's prompt", self._machine.scaled(deadline)) == 1:
            self._spawn.send(b" ")
        self.inside = True
        self.command("set LINES 10000")
        return reason

    def command(self, line: str, deadline: float = COMMAND_DEADLINE) -> str:
        """Run one of kdb's commands and return what it printed."""
        self._demand_inside()
        if not line.isprintable():
            raise LabError("kdb takes one line of printable characters")
        self._spawn.send(line.encode() + b"\r")
        said = b""
        while True:
            at = self._expect([_PROMPT, _MORE], f"the end of {line!r}", self._machine.scaled(deadline))
            said += self._spawn.before or b""
            if at == 0:
                break
            self._spawn.send(b" ")
            if len(said) > _MOST:
                raise LabError(f"kdb's answer to {line!r} has no end")
        text = said.decode(errors="replace").replace("\r", "")
        return text.removeprefix(line).strip("\n")

    def tasks(self) -> list[KdbTask]:
        """All tasks."""
        text = self.command("ps A")
        return [
            KdbTask(int(pid), comm.strip(), state, int(cpu), bool(current))
            for _, pid, _, cpu, state, current, comm in _TASK.findall(text)
        ]

    def backtrace(self) -> str:
        """The stack of the task that runs on the CPU where kdb was entered."""
        return self.command("bt")

    def breakpoint(self, function: str) -> str:
        """Stop in kdb when the function is called."""
        return self.command(f"bp {function}")

    def go(self) -> None:
        """Let the kernel run on; LabError when it does not answer afterwards."""
        self._demand_inside()
        entered = _ENTERED.findall(self._machine.console.read())
        self._spawn.send(b"go\r")
        if entered and _OOPS in entered[-1]:
            # What kdb_continue_catastrophic is 0 for, unless the kernel's configuration has it otherwise.
            seconds = self._machine.scaled(COMMAND_DEADLINE)
            if self._expect([_TWICE, _ONCE], "kdb's word on going on after an oops", seconds) == 0:
                self._expect([_PROMPT], "kdb's prompt", seconds)
                self._spawn.send(b"go\r")
        self.inside = False

    def leave(self) -> None:
        """Let the kernel run on, without breakpoints, when it stands in kdb, whoever brought it there."""
        said = self._machine.console.read()[-_TAIL:]
        if _AT_MORE.search(said):
            self._spawn.send(b"q")
            self._expect([_PROMPT], "kdb's prompt", self._machine.scaled(COMMAND_DEADLINE))
            self.inside = True
        self.inside = self.inside or _AT_PROMPT.search(said) is not None
        if self.inside:
            self.command("bc *")
            self.go()

    def _demand_inside(self) -> None:
        if not self.inside:
            raise LabError("the kernel is not in kdb", hint="enter it first")

    def _expect(self, what: list[re.Pattern[bytes]], name: str, seconds: float) -> int:
        try:
            return self._spawn.expect([*what], timeout=seconds)
        except pexpect.TIMEOUT as error:
            self._machine.check()
            raise CommandTimeoutError(f"{name} did not come on the console within {seconds:.0f} s") from error
