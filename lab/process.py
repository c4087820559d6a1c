"""The one door to other programs on the host: no shell, always a deadline, output kept."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from lab.errors import HostError, LabError, NoSpaceError

# What programs print when the disk is full; dpkg, tar, apt and make all quote strerror(ENOSPC).
_NO_SPACE = "No space left on device"
_TAIL_LINES = 12


@dataclass(frozen=True)
class Completed:
    """A program that ended: its exit status and what it printed (stdout and stderr apart, or as one in stdout)."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


class ProgramFailedError(LabError):
    """A program ended with a status that was not expected; `output` is all it printed."""

    def __init__(self, what: str, output: str, *, hint: str = "", log: Path | None = None) -> None:
        super().__init__(what, hint=hint, log=log)
        self.output = output


class DeadlineError(LabError):
    """A program did not end in time and was killed."""


def which(program: str, *, package: str = "") -> str:
    """The program's path, or a HostError that names the package to install."""
    # Debian keeps mke2fs and friends in sbin, which a user's PATH may lack.
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise HostError(f"{program} is not installed", hint=f"apt-get install {package or program}")
    return found


def run(
    argv: Sequence[str | Path],
    *,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    check: bool = True,
    stdin: bytes | None = None,
) -> Completed:
    """Run to the end and return what was printed.

    With `log`, stdout and stderr go there together, as they come, and `stdout` holds the whole of it after.
    A program past its deadline (seconds) is killed with its children: DeadlineError. Raises ProgramFailedError when
    `check` and the status is not 0, NoSpaceError when the disk was full, HostError when the program is not there.
    """
    words = tuple(str(word) for word in argv)
    try:
        done = _run_logged(words, deadline, env, cwd, log) if log else _run_piped(words, deadline, env, cwd, stdin)
    except FileNotFoundError as error:
        if error.filename != words[0]:  # the folder to run in, or the log's
            raise
        raise HostError(f"{words[0]} is not installed", hint="lab doctor") from error
    if check and done.status != 0:
        raise failure(done, log)
    return done


@contextmanager
def reading(argv: Sequence[str | Path], *, deadline: float) -> Iterator[IO[bytes]]:
    """Run a program and yield what it prints, as it comes: for what is too much to be kept.

    What the block leaves unread is dropped. A program past its deadline (seconds) is killed with its children, as is
    one whose block fails. Raises LabError past the deadline, else the block's own error, else as `run` does.
    """
    words = tuple(str(word) for word in argv)
    late = f"{Path(words[0]).name} did not end within {deadline:g} s"
    end = time.monotonic() + deadline
    with tempfile.TemporaryFile() as errors:
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        process = subprocess.Popen(
            words, stdin=nothing, stdout=pipe, stderr=errors, env=_environment(None), start_new_session=True
        )
        timer = threading.Timer(deadline, os.killpg, (process.pid, 9))
        timer.start()
        with process:
            try:
                stream = cast(IO[bytes], process.stdout)
                yield stream
                while stream.read(1 << 20):
                    pass
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            except Exception as error:
                if time.monotonic() < end:
                    raise
                raise LabError(late) from error
            finally:
                timer.cancel()
                timer.join()
                # Nobody has waited for it yet, so its number is nobody else's.
                os.killpg(process.pid, 9)
        if process.returncode == -9 and time.monotonic() >= end:
            raise LabError(late)
        if process.returncode != 0:
            errors.seek(0)
            raise failure(Completed(words, process.returncode, b"", errors.read()), None)


def failure(done: Completed, log: Path | None) -> LabError:
    """The error for a program that failed: its last lines, or plainly that the disk is full."""
    output = (done.stdout + done.stderr).decode(errors="replace")
    name = Path(done.argv[0]).name
    if _NO_SPACE in output:
        return NoSpaceError(f"no space left on the disk while running {name}", hint="lab gc", log=log)
    tail = "\n".join(output.strip().splitlines()[-_TAIL_LINES:])
    return ProgramFailedError(f"{name} failed with status {done.status}:\n{tail}", output, log=log)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}


def _wait(process: subprocess.Popen[bytes], deadline: float, stdin: bytes | None) -> tuple[bytes, bytes]:
    try:
        return process.communicate(stdin, timeout=deadline)
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"{Path(str(process.args[0])).name} did not end within {deadline:g} s") from error  # type: ignore[index]
    finally:
        # Not poll(): a program that ended may have left children that hold its output, and until it has been waited
        # for, its number is nobody else's.
        if process.returncode is None:
            # Every program is a session of its own, so that a kill (a deadline, Ctrl-C) takes its children too.
            os.killpg(process.pid, 9)
            process.wait()


def _run_piped(
    argv: tuple[str, ...], deadline: float, env: Mapping[str, str] | None, cwd: Path | None, stdin: bytes | None
) -> Completed:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(env),
        cwd=cwd,
        start_new_session=True,
    )
    with process:
        stdout, stderr = _wait(process, deadline, stdin)
    return Completed(argv, process.returncode, stdout, stderr)


def _run_logged(
    argv: tuple[str, ...], deadline: float, env: Mapping[str, str] | None, cwd: Path | None, log: Path
) -> Completed:
    with log.open("ab") as stream:
        start = stream.tell()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=_environment(env),
            cwd=cwd,
            start_new_session=True,
        )
        with process:
            _wait(process, deadline, None)
    return Completed(argv, process.returncode, log.read_bytes()[start:], b"")


def run_shown(argv: Sequence[str], *, deadline: float, log: Path, output: Callable[[bytes], None]) -> Completed:
    """As `run` with `log` and without `check`; what is printed goes to `output` too, as it comes."""
    words = tuple(argv)
    end = time.monotonic() + deadline
    with log.open("ab") as stream:
        start = stream.tell()
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(None),
            start_new_session=True,
        )
        pipe, ended = cast(IO[bytes], process.stdout), os.pidfd_open(process.pid)
        try:
            in_time = _copied(pipe.fileno(), stream, output, end) and _readable(ended, end)
        finally:
            # Nobody has waited for it yet, so its number is nobody else's.
            os.killpg(process.pid, 9)
            os.close(ended)
            pipe.close()
            process.wait()
    if not in_time:
        raise DeadlineError(f"{Path(words[0]).name} did not end within {deadline:g} s")
    return Completed(words, process.returncode, log.read_bytes()[start:], b"")


def interact(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> int:
    """Hand our terminal to a program until it ends, and return its exit status (128 + N when signal N ended it).

    Ctrl-C is the program's meanwhile. HostError when the program is not there. No deadline: a person works in it.
    """
    words = [str(word) for word in argv]
    # Not SIG_IGN, which the program would inherit: gdb stops its guest by Ctrl-C.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        status = subprocess.Popen(words, env=_environment(env)).wait()
    except FileNotFoundError as error:
        raise HostError(f"{words[0]} is not installed", hint="lab doctor") from error
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status


def _copied(pipe: int, stream: IO[bytes], output: Callable[[bytes], None], end: float) -> bool:
    """Copy what comes through the pipe until nobody can write to it any more; False when that is not before `end`."""
    while _readable(pipe, end):
        data = os.read(pipe, 1 << 16)
        if not data:
            return True
        stream.write(data)
        with suppress(OSError):  # nobody looks any more; the log goes on
            output(data)
    return False


def _readable(descriptor: int, end: float) -> bool:
    """Whether it can be read, or has ended, before `end`."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, end - time.monotonic()) * 1000))


def tied(argv: Sequence[str], *, signal: str = "KILL") -> list[str]:
    """The command that starts a program which gets that signal when its parent's thread ends.

    A parent that was killed before the program could ask for the signal would never cause it: so the program begins
    only if it is still the child of who made this command.
    """
    ask = [which("setpriv", package="util-linux"), "--pdeathsig", signal, "--"]
    return [*ask, "/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid()), *argv]


def spawn(
    argv: Sequence[str | Path], *, log: Path, pass_fds: Sequence[int] = (), env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that runs on beside us and dies with us, even when we are killed.

    What it prints goes to `log`. It must be started from a thread that lives as long as it should (PR_SET_PDEATHSIG
    fires when the starting *thread* ends). Ctrl-C does not reach it: whoever started it ends it.
    """
    with log.open("ab") as stream:
        return subprocess.Popen(
            tied([str(word) for word in argv]),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=_environment(env),
            pass_fds=pass_fds,
            start_new_session=True,
        )
