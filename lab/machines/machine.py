"""One running guest, from its start to its end; disposable."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lab.errors import CommandTimeoutError, LabError, MachineLostError
from lab.images.cpio import CpioFile, cpio_archive
from lab.machines.agent import Agent
from lab.machines.cpus import keep_apart
from lab.machines.door import Door, Services
from lab.machines.identity import NOBODY, renew
from lab.machines.monitor import Monitor
from lab.machines.qemu import Qemu
from lab.machines.record import Folder
from lab.machines.result import Result, Sink
from lab.machines.shell import Shell, start_server
from lab.machines.sockets import short_name
from lab.machines.spec import DEBUG_LINE, MachineSpec, qemu_arguments
from lab.machines.streams import Console, Lines
from lab.process import spawn

# Deadlines in seconds on hardware; `Acceleration.scaled` stretches them under emulation.
BOOT_DEADLINE = 15.0
COMMAND_DEADLINE = 10.0
_HANDSHAKE_DEADLINE = 5.0
_PROBE_DEADLINE = 3.0
_RENEW_DEADLINE = 3.0
_END_DEADLINE = 10.0
_TAIL_LINES = 15
_PIECE = 8 << 20  # of a file that is put into the guest

# Where the guest finds what this machine alone was given (images/initrd/init moves it there).
PAYLOAD = "/run/lab"
AGENT = f"{PAYLOAD}/bin/lab-agent"

_PANIC = re.compile(rb"Kernel panic - not syncing[^\r\n]*")


def reading(path: str) -> list[str]:
    """The command that prints a file of the guest's, as `Machine.read` does."""
    return [AGENT, "get", path]


class Machine:
    """A guest: laid out, then started, ended by `end` or by leaving its `with`."""

    def __init__(
        self, spec: MachineSpec, qemu: Qemu, run_dir: Path, *, payload: Mapping[str, CpioFile], purpose: str
    ) -> None:
        """Lay out a machine; nothing runs before `start`. `payload` (path -> file) lies in the guest's /run/lab."""
        self.spec = spec
        self.qemu = qemu
        self.purpose = purpose
        self._payload = payload
        self._dead = threading.Event()
        # Whoever keeps the machine, though nothing runs in it any more, waits for this.
        self.released = threading.Event()
        self._reason = ""
        self._shell: Shell | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup = contextlib.ExitStack()
        self.folder = Folder(run_dir)
        self._cleanup.callback(self.folder.remove)

    def start(self, deadline: float = BOOT_DEADLINE, *, anonymous: bool = False) -> None:
        """Start the guest and wait until it is ready for commands (deadline in seconds on hardware).

        An `anonymous` one, which is to be saved, is nobody in particular. MachineLostError, with the console's last
        lines, when it does not get there; the machine then still has its evidence, until `end`.
        """
        self.spec = dataclasses.replace(self.spec, initrd=self._own_initrd())
        self._spawn()
        self.monitor.execute("cont")
        self._wait_ready(self.scaled(deadline))
        self._renew(NOBODY if anonymous else self.host_name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        deadline: float = COMMAND_DEADLINE,
        stdin: bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
        gone: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Run a program in the guest. `deadline` in seconds on hardware.

        A signal N that ends it is status -N. With `check` a status other than 0 is an AssertionError that shows what
        was printed. A deadline that passes is MachineLostError when the guest no longer answers, CommandTimeoutError
        when only the command hangs; the command is then killed with its process group, as it is with LabError when
        whoever wanted it is `gone`.
        """
        self.check()
        try:
            end = self.scaled(deadline)
            result = self.agent.run(argv, end, stdin=stdin, stdout=stdout, stderr=stderr, gone=gone)
        except CommandTimeoutError:
            self._demand_answer(shlex.join(argv))
            raise
        if check and result.status != 0:
            printed = (result.stdout + result.stderr).decode(errors="replace").strip()
            raise AssertionError(f"{shlex.join(argv)} {result.ended} in the guest: {printed}")
        return result

    def write(self, path: str, data: bytes) -> None:
        """Put a file into the guest."""
        self.run([AGENT, "put", path], stdin=data)

    def read(self, path: str) -> Result:
        """A file of the guest's, on `stdout`, as far as it can be read without waiting (/dev/kmsg has no end)."""
        return self.run(reading(path), check=False)

    def install(self, path: str, program: bytes) -> None:
        """Put a program into the guest, in place of one that may be running."""
        self.run([AGENT, "put", path, "755"], stdin=program)

    def put(self, path: str, file: Path) -> None:
        """Put a large file of the host into the guest, piece by piece; LabError when either side cannot."""
        try:
            with file.open("rb") as stream:
                self.write(path, b"")
                while data := stream.read(_PIECE):
                    self.run(["sh", "-c", 'cat >>"$0"', path], stdin=data)
        except (OSError, AssertionError) as error:
            raise LabError(f"{file} cannot be put into the guest: {error}") from error

    def scaled(self, seconds: float) -> float:
        """A deadline written for hardware, for this machine."""
        return self.spec.acceleration.scaled(seconds)

    def check(self) -> None:
        """Raise MachineLostError when the guest has died; says nothing about one that hangs."""
        status = self._process.poll() if self._process else None
        if status is not None and not self._dead.is_set():
            self._died(f"QEMU ended with status {status}: {self._qemu_said()}")
        if self._dead.is_set():
            raise MachineLostError(f"the machine died: {self._last_words()}\n{self.console_tail()}")

    def alive(self) -> bool:
        """Whether the guest still runs, as far as QEMU can tell."""
        return not self._dead.is_set() and self._process is not None and self._process.poll() is None

    def answers_monitor(self) -> bool:
        """Whether QEMU itself still runs: a crashed guest stands still in it and can be looked at."""
        return "monitor" in vars(self) and self._process is not None and self._process.poll() is None

    def _last_words(self) -> str:
        """Why it died: as its kernel says when it panicked, else as QEMU does."""
        panic = _PANIC.search(self._printed())
        return panic.group(0).decode(errors="replace").strip() if panic else self._reason

    def console_tail(self) -> str:
        """The console's last lines, for a message."""
        lines = self._printed().decode(errors="replace").splitlines()
        return "\n".join(["Last on its console:", *(f"  {line.rstrip()}" for line in lines[-_TAIL_LINES:])])

    def _printed(self) -> bytes:
        # A machine whose QEMU did not start has no console.
        return self.console.read() if "console" in vars(self) else b""

    def registers(self) -> str:
        """All CPUs' registers, as QEMU prints them; works on a crashed machine too."""
        return str(self.monitor.execute("human-monitor-command", {"command-line": "info registers -a"}))

    def shell(self) -> Shell:
        """A connection to the guest's SSH server, which is started when this is first asked for, with keys of its own.

        For interactive sessions; LabError when the guest cannot have it.
        """
        self.check()
        if self._shell is None:
            keys = start_server(self.run, f"{PAYLOAD}/hostkey")
            self._shell = Shell(self.monitor.ssh_port(), keys, self.scaled(_HANDSHAKE_DEADLINE), self.check)
            self._cleanup.callback(self._shell.close)
        return self._shell

    def command_line(self) -> str:
        """QEMU's command line in the form a person can run: sockets as paths."""
        paths = {name: self._socket_path(name) for name in self.spec.endpoints}
        environment = [f"{name}={shlex.quote(value)}" for name, value in self.qemu.environment]
        return " ".join([*environment, shlex.join([*self.qemu.command, *qemu_arguments(self.spec, paths)])])

    def keep(self, purpose: str) -> None:
        """Have the machine's record say that it stays, and why."""
        self.purpose = purpose
        if self._process is not None:
            self.folder.write(self._process.pid, purpose, kept=True)

    def end(self) -> None:
        """End the guest and remove all it had on the host; safe to call twice."""
        self._cleanup.close()

    def _spawn(self) -> None:
        """Start QEMU, the guest standing still in it."""
        listening = {name: self._listen(name) for name in self.spec.endpoints}
        sockets = {name: endpoint.fileno() for name, endpoint in listening.items()}
        self._process = spawn(
            [*self.qemu.command, *qemu_arguments(self.spec, sockets)],
            log=self.folder.path / "qemu.log",
            pass_fds=tuple(sockets.values()),
            env=dict(self.qemu.environment),
        )
        self._cleanup.callback(self._end_process)
        self.folder.write(self._process.pid, self.purpose)
        for endpoint in listening.values():
            endpoint.close()
        try:
            self._connect()
        except (OSError, MachineLostError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_DEADLINE)
            raise MachineLostError(f"QEMU did not start: {self._qemu_said()}") from error

    def _connect(self) -> None:
        """Take up everything that QEMU offers, the console before the guest's first instruction."""
        self.console = Console(self._socket_path("console"), self.folder.path)
        self._cleanup.callback(self.console.close)
        self.agent = Agent(self._socket_path("control"), self.check)
        self._cleanup.callback(self.agent.close)
        self.events = self._lines()
        self._cleanup.callback(self.events.close)
        self.monitor = Monitor(self._socket_path("monitor"), self._died)
        self._cleanup.callback(self.monitor.close)
        if self.spec.parallel:
            keep_apart(self.monitor.cpu_threads())
        door = Door(
            self.folder.path,
            Services(self._run_for, self.agent.announce, self.console.type, self.released.set, self.put),
        )
        self._cleanup.callback(door.close)

    def _run_for(self, argv: Sequence[str], seconds: float, **more: Any) -> Result:
        """Run a command for a visitor at the door, whose seconds are the clock's."""
        return self.run(argv, check=False, deadline=seconds / self.scaled(1.0), **more)

    def _lines(self) -> Lines:
        return Lines(self._socket_path("events"), "events")

    @property
    def host_name(self) -> str:
        """What the guest is called."""
        return f"lab-{self.folder.name}"

    def _renew(self, name: str) -> None:
        renew(self.agent, name, self.scaled(_RENEW_DEADLINE))

    def _own_initrd(self) -> Path:
        """The kernel's initrd with this machine's payload behind it: the kernel unpacks one after the other."""
        path = self.folder.path / "initrd"
        base = self.spec.initrd.read_bytes()
        payload = cpio_archive({f"lab/{name}": file for name, file in self._payload.items()})
        path.write_bytes(base + b"\0" * (-len(base) % 4) + payload)
        return path

    def _listen(self, name: str) -> socket.socket:
        """A listening socket for QEMU to inherit: it is there before QEMU is, so that nobody has to wait for it."""
        endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._cleanup.callback(endpoint.close)
        with short_name(self._socket_path(name)) as path:
            endpoint.bind(path)
        endpoint.listen(1)
        return endpoint

    @property
    def debug_line(self) -> Path:
        """The socket of its second serial line, where it was made with one."""
        return self._socket_path(DEBUG_LINE)

    def _socket_path(self, name: str) -> Path:
        return self.folder.path / f"{name}.sock"

    def _wait_ready(self, deadline: float) -> None:
        if not self.agent.wait_ready(deadline):
            raise MachineLostError(f"the guest did not come up within {deadline:.0f} s\n{self.console_tail()}")

    def _demand_answer(self, command: str) -> None:
        """Tell a hanging guest from a hanging command: a living one still runs `true`."""
        try:
            self.agent.run(["true"], self.scaled(_PROBE_DEADLINE))
        except (CommandTimeoutError, MachineLostError) as error:
            self.check()
            raise MachineLostError(f"the guest hangs: no answer since {command}\n{self.console_tail()}") from error

    def _died(self, reason: str) -> None:
        if not self._dead.is_set():
            self._reason = reason
            self._dead.set()
        with contextlib.suppress(AttributeError):  # it may die before its ports are open
            self.agent.announce()
            self.events.announce()

    def _qemu_said(self) -> str:
        return (self.folder.path / "qemu.log").read_text(errors="replace").strip()[-500:] or "it said nothing"

    def _end_process(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_DEADLINE)
