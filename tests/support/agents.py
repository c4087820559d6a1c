"""The lab's agent on this host, and guests that only pretend to have one, for tests of the host's side."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lab.machines.agent import ROOT, Agent


class Guest:
    """What the host speaks with: a socket's far side, `port`, and the programs started on it. `dead` is what `check`
    raises."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.dead: Exception | None = None
        self.program = program
        self.started: list[subprocess.Popen[bytes]] = []
        self.said = folder / "agent.log"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(folder / "port"))
            listener.listen(1)
            # The folder: root's own may not be entered by everybody who runs tests.
            self.agent = Agent(folder / "port", self._check, login=replace(ROOT, folder=str(folder)))
            self.port, _ = listener.accept()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the real agent on the port."""
        with self.said.open("ab") as log:
            fd = self.port.fileno()
            program = subprocess.Popen(
                [self.program, str(fd)], pass_fds=[fd], stderr=log, start_new_session=True, umask=0o077
            )
        self.started.append(program)
        return program

    def end(self) -> None:
        self.agent.close()
        self.port.close()
        for program in self.started:
            with contextlib.suppress(ProcessLookupError):
                program.kill()
            program.wait(10)

    def _check(self) -> None:
        if self.dead is not None:
            raise self.dead


@contextlib.contextmanager
def guest(folder: Path, program: Path) -> Iterator[Guest]:
    """A guest, and its end with the block."""
    made = Guest(folder, program)
    try:
        yield made
    finally:
        made.end()


@dataclass
class Host:
    """A host without manners, speaking to a real agent."""

    side: socket.socket
    program: subprocess.Popen[bytes]

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = b""
        while len(data) < size:
            more = self.side.recv(size - len(data))
            assert more, f"the agent ended: {self.said()}"
            data += more
        return data

    def said(self) -> str:
        """What the agent said before it ended."""
        assert self.program.stderr is not None
        self.program.wait(10)
        return self.program.stderr.read().decode()


@contextlib.contextmanager
def host(program: Path) -> Iterator[Host]:
    """A host, with an agent that has been started, and its end with the block."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(30)
        fd = theirs.fileno()
        started = subprocess.Popen([program, str(fd)], pass_fds=[fd], stderr=subprocess.PIPE, start_new_session=True)
        with started:
            theirs.close()
            yield Host(ours, started)
            started.kill()
