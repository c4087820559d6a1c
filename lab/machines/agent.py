"""Commands in a guest, over its control port: a program of the lab's there (images/programs/lab-agent.c) runs them."""

from __future__ import annotations

import itertools
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from lab.errors import CommandTimeoutError, LabError, MachineLostError, RequestError
from lab.machines.command import Command, Output
from lab.machines.frames import (
    BrokenFrameError,
    Decoder,
    Frame,
    Hello,
    Kind,
    Login,
    TooLongError,
    encode,
    encode_run,
    read_answer,
    read_hello,
)
from lab.machines.result import Result, Sink
from lab.machines.streams import Reader, Writer

# What root gets who logs in.
ROOT = Login(
    MappingProxyType(
        {
            "HOME": "/root",
            "LOGNAME": "root",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SHELL": "/bin/sh",
            "USER": "root",
        }
    ),
    "/root",
    0o022,
)
_NO_AGENT = "something in the guest writes to the lab's port, or lab-agent there is not this lab's"


class Agent(Reader):
    """The host's side of one guest's agent. `check` raises when the guest has died. Safe for several threads."""

    def __init__(self, path: Path, check: Callable[[], None], *, login: Login = ROOT) -> None:
        super().__init__(path, "agent")
        self._check = check
        self._login = login
        self._decoder = Decoder()
        self._hello: Hello | None = None
        self._commands: dict[int, Command] = {}  # which the guest's agent has not ended
        self._asked: list[Kind] = []  # of the agent itself, and not answered
        self._refused: list[str] = []
        self._fault = ""
        self._closed = False
        self._alarms = 0
        self._writer = Writer(self._socket, "agent")
        self._thread.start()

    def wait_ready(self, deadline: float) -> bool:
        """Wait for the agent's first words; False after `deadline` seconds. MachineLostError when they never come."""
        return self._wait(lambda: self._hello is not None, time.monotonic() + deadline)

    def greet(self) -> None:
        """Begin anew with an agent that said its first words to somebody else: its machine was restored."""
        self._writer.send(encode(Kind.GREET))

    def renew(self, frames: Mapping[Kind, bytes], deadline: float) -> None:
        """Have the agent set its guest's clock, random state or names: `frames` by their kinds, in their order.

        LabError when the guest's kernel refuses one, MachineLostError after `deadline` seconds.
        """
        with self._changed:
            self._asked += frames
            self._writer.send(b"".join(frames.values()))
        if not self._wait(lambda: not self._asked, time.monotonic() + deadline):
            raise MachineLostError(f"the guest's agent did not answer within {deadline:.0f} s")
        with self._changed:
            refused, self._refused = self._refused, []
        if refused:
            raise LabError(f"the guest's kernel refuses what a machine of its own needs: {', '.join(refused)}")

    def run(
        self,
        argv: Sequence[str],
        deadline: float,
        *,
        stdin: bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
        gone: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Run a program with exactly these arguments and wait for its end (deadline in seconds).

        With sinks the output goes there as it comes, and `Result` holds none. CommandTimeoutError when the guest lives
        but the command does not end, or prints more than is kept; it is then killed with its process group, as it is
        when this is interrupted. MachineLostError when the guest or its agent died, RequestError when the arguments
        are too long, LabError when whoever wanted it is `gone` (asked whenever something came, or was announced).
        """
        end = time.monotonic() + deadline
        words = shlex.join(argv)
        command, output = None, Output(words, stdout, stderr)
        while command is None:
            if not self._wait(lambda: self._has_room() or gone(), end):
                raise CommandTimeoutError(f"the guest's agent did not take {words} within {deadline:.0f} s")
            _demand_present(gone, words)
            command = self._start(argv, words, stdin)
        try:
            while not command.over() or command.chunks:
                due = self._wait(lambda: gone() or command.due(), end)
                if not due or (time.monotonic() > end and not command.over()):
                    raise CommandTimeoutError(f"{words} did not end within {deadline:.0f} s")
                _demand_present(gone, words)
                self._attend(command, output)
            return command.result(tuple(argv), output)
        finally:
            self._leave(command)

    def announce(self) -> None:
        """Let those who wait look again whether the guest lives."""
        with self._changed:
            self._alarms += 1
            self._changed.notify_all()

    def close(self, deadline: float = 5.0) -> None:
        super().close(deadline)
        self._writer.close(deadline)

    def _has_room(self) -> bool:
        return self._hello is not None and len(self._commands) < self._hello.commands

    def _start(self, argv: Sequence[str], words: str, stdin: bytes) -> Command | None:
        """Send the command on its way; None when others were quicker to take the room."""
        with self._changed:
            if not self._has_room():
                return None
            number = next(number for number in itertools.count(1) if number not in self._commands)
            try:
                frame = encode_run(number, argv, self._login)
            except TooLongError as error:
                raise RequestError(str(error), hint="give a program its data on standard input") from error
            command = self._commands[number] = Command(number, words, memoryview(stdin))
            self._writer.send(frame + command.feed())
        return command

    def _attend(self, command: Command, output: Output) -> None:
        """Take what has come and send what may be sent."""
        with self._changed:
            frames = command.take()
        for frame in frames:
            output.take(frame)
        with self._changed:
            if due := command.feed() + command.acknowledge():
                self._writer.send(due)

    def _leave(self, command: Command) -> None:
        with self._changed:
            command.left = True
            command.chunks.clear()
            # Its number stays taken until the agent has told its end.
            if self._commands.get(command.number) is command:
                self._writer.send(encode(Kind.KILL, command.number))

    def _wait(self, ready: Callable[[], bool], end: float) -> bool:
        """Wait until `ready()` holds; False when it is later than `end`. MachineLostError when it never will."""
        while True:
            # Before the look, so that none is missed.
            alarms = self._alarms
            self._check()
            with self._changed:
                self._changed.wait_for(
                    lambda: ready() or self._fault or self._closed or self._alarms != alarms,  # noqa: B023 - asked at once
                    max(0.0, end - time.monotonic()),
                )
                if ready():
                    return True
                if self._fault:
                    raise MachineLostError(f"the guest's agent sent {self._fault}", hint=_NO_AGENT)
            if self._closed:
                self._check()
                raise MachineLostError("QEMU closed the port over which the guest is spoken with")
            if time.monotonic() > end:
                return False

    def _take(self, data: bytes) -> None:
        self._closed = self._closed or not data
        if self._fault:
            return  # read on: a guest must not wait for us
        try:
            for frame in self._decoder.feed(data):
                self._receive(frame)
        except BrokenFrameError as error:
            self._fault = str(error)

    def _receive(self, frame: Frame) -> None:
        if frame.kind is Kind.HELLO:
            self._begin(read_hello(frame.payload))
            return
        if frame.kind is Kind.DONE:
            self._note_answer(*read_answer(frame.payload))
            return
        command = self._commands.get(frame.number)
        if command is None:
            raise BrokenFrameError(f"{frame.kind.name} for command {frame.number}, which does not run")
        command.receive(frame)
        if command.over():
            del self._commands[command.number]

    def _note_answer(self, kind: Kind, error: int) -> None:
        if not self._asked or self._asked.pop(0) is not kind:
            raise BrokenFrameError(f"an answer to {kind.name}, which it was not asked")
        if error:
            self._refused.append(f"{kind.name.lower().replace('_', ' ')} ({os.strerror(error)})")

    def _begin(self, hello: Hello) -> None:
        """Speak with this agent from now on; what one before it still ran is lost."""
        for command in self._commands.values():
            command.lost = True
        self._commands.clear()
        self._refused += [kind.name for kind in self._asked]
        self._asked.clear()
        self._hello = hello
        self._writer.send(encode(Kind.START, payload=hello.session), instead=True)


def _demand_present(gone: Callable[[], bool], words: str) -> None:
    if gone():
        raise LabError(f"nobody waits for {words} any more")
