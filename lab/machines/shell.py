"""Commands in a guest over SSH, with deadlines, bounded output, and the guest's death told from a failure."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paramiko

from lab.errors import CommandTimeoutError, MachineLostError
from lab.machines.keys import RunKeys

_CHUNK = 1 << 16
_POLL = 0.1  # seconds between looks at whether the guest still lives, while nothing comes from it
_MAX_OUTPUT = 64 << 20
_CHANNEL_DEADLINE = 60.0

Sink = Callable[[bytes], None]


@dataclass(frozen=True)
class Result:
    """A command that ended in a guest. `stdout` and `stderr` are the guest's bytes, untrusted."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


class Shell:
    """An authenticated connection to one guest's SSH server. `check` raises when the guest has died."""

    def __init__(self, port: int, keys: RunKeys, deadline: float, check: Callable[[], None]) -> None:
        self._check = check
        try:
            self._transport = paramiko.Transport(("127.0.0.1", port))
            self._transport.banner_timeout = self._transport.auth_timeout = deadline
            self._transport.start_client(timeout=deadline)
            if self._transport.get_remote_server_key().asbytes() != keys.host_public:
                raise MachineLostError(f"port {port} does not lead to this guest: its host key is another")
            self._transport.auth_publickey("root", keys.client)
        except (paramiko.SSHException, OSError, EOFError) as error:
            check()
            raise MachineLostError(f"the guest's SSH server did not let us in: {error}") from error

    def run(
        self,
        argv: Sequence[str],
        deadline: float,
        *,
        stdin: bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> Result:
        """Run a program with exactly these arguments and wait for its end (deadline in seconds).

        With sinks the output goes there as it comes, and `Result` holds none. CommandTimeoutError when the guest lives
        but the command does not end; MachineLostError when the guest died.
        """
        channel = self._open(deadline)
        try:
            # exec: the login shell becomes the program, so that no second process stands between.
            channel.exec_command("exec " + shlex.join(argv))
            # Fed beside the reading: a program that answers while it is fed would otherwise wait for us for ever.
            threading.Thread(target=_feed, args=(channel, stdin), name="lab-stdin", daemon=True).start()
            return self._collect(channel, tuple(argv), deadline, stdout, stderr)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._check()
            raise MachineLostError(f"the connection to the guest broke during {shlex.join(argv)}: {error}") from error
        finally:
            channel.close()

    def interactive(self, columns: int, rows: int, terminal: str) -> paramiko.Channel:
        """A channel with a login shell on a terminal of that size."""
        channel = self._open(_CHANNEL_DEADLINE)
        channel.get_pty(terminal, columns, rows)
        channel.invoke_shell()
        return channel

    def close(self) -> None:
        """Leave; safe to call twice."""
        self._transport.close()

    def _open(self, deadline: float) -> paramiko.Channel:
        try:
            return self._transport.open_session(timeout=deadline)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._check()
            if self._transport.is_active():
                raise CommandTimeoutError(f"the guest opened no channel within {deadline:.0f} s") from error
            raise MachineLostError(f"the connection to the guest broke: {error}") from error

    def _collect(
        self,
        channel: paramiko.Channel,
        argv: tuple[str, ...],
        deadline: float,
        stdout: Sink | None,
        stderr: Sink | None,
    ) -> Result:
        end = time.monotonic() + deadline
        out, err = bytearray(), bytearray()
        channel.settimeout(_POLL)
        while not (channel.exit_status_ready() and channel.eof_received):
            took = _take(channel.recv_stderr, err if stderr is None else stderr, channel.recv_stderr_ready())
            took |= _take(channel.recv, out if stdout is None else stdout, wait=not took)
            if len(out) + len(err) > _MAX_OUTPUT:
                raise CommandTimeoutError(f"{shlex.join(argv)} printed more than {_MAX_OUTPUT >> 20} MiB")
            if not took:
                self._check()
                if channel.eof_received:
                    channel.status_event.wait(_POLL)
            if time.monotonic() > end:
                raise CommandTimeoutError(f"{shlex.join(argv)} did not end within {deadline:.0f} s")
        while _take(channel.recv_stderr, err if stderr is None else stderr, channel.recv_stderr_ready()):
            pass
        while _take(channel.recv, out if stdout is None else stdout, channel.recv_ready()):
            pass
        return Result(argv, channel.recv_exit_status(), bytes(out), bytes(err))


def _feed(channel: paramiko.Channel, data: bytes) -> None:
    """Send a program its input; one that ends before it has read all of it is no fault."""
    rest = memoryview(data)
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        while rest and not channel.closed:
            # The reading side's time-out is this side's too: a slow guest is waited for, its reader has the deadline.
            with contextlib.suppress(TimeoutError):
                rest = rest[channel.send(rest[:_CHUNK].tobytes()) :]
        channel.shutdown_write()


def _take(receive: Callable[[int], bytes], sink: bytearray | Sink, wait: bool) -> bool:
    """Move what is there into the sink; with `wait`, wait for it as long as the channel's time-out says."""
    if not wait:
        return False
    try:
        data = receive(_CHUNK)
    except TimeoutError:
        return False
    if isinstance(sink, bytearray):
        sink += data
    else:
        sink(data)
    return bool(data)
