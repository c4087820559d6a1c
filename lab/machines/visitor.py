"""The other side of a machine's door: what other processes ask a running machine for, by its name."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.errors import LabError, MachineLostError, RequestError
from lab.machines.doorframes import SOCKET, DoorError, Kind, read_json, receive, send, send_json
from lab.machines.record import Record, living
from lab.machines.result import Result, Sink
from lab.machines.sockets import short_name

_CONNECT_DEADLINE = 10.0
# How much longer than its command a machine may take to tell that it passed its deadline.
_GRACE = 60.0
# A visitor does not know what its machine runs on, so that all of a visitor's deadlines are those of emulated ones.
_EMULATED = 8.0
_MOST_SECONDS = 86400.0
_PUT_DEADLINE = 600.0
_MAX_OUTPUT = 64 << 20


def find_machine(run_dir: Path, name: str) -> Record:
    """The running machine of that name, or the only one whose name begins so; RequestError lists what runs."""
    records = living(run_dir)
    found = [record for record in records if name and record.name.startswith(name)]
    if len(found) != 1:
        running = ", ".join(record.name for record in records) or "none"
        what = f"{len(found)} machines are called {name}..." if found else f"no machine {name!r} runs"
        raise RequestError(f"{what}; running: {running}", hint="lab keep list tells what each of them is for")
    return found[0]


class Visitor:
    """Asks one machine, in the folder `folder`. Each request is a connection of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, argv: Sequence[str], seconds: float, stdout: Sink, stderr: Sink, *, stdin: bytes = b"") -> int:
        """Run a command in the guest, what it prints going to the sinks as it comes.

        Returns its status, -N for signal N. `seconds` are the clock's. LabError with the machine's own words when it
        cannot.
        """
        return self._ask({"do": "run", "argv": list(argv), "seconds": seconds}, stdin, seconds + _GRACE, stdout, stderr)

    def put(self, path: str, file: Path, seconds: float) -> None:
        """Put a file of this host into the guest; LabError with the machine's own words when it cannot."""
        self._ask({"do": "put", "path": path, "file": str(file)}, b"", seconds, _ignore, _ignore)

    def type(self, keys: bytes) -> None:
        """Send keys to the guest's serial console."""
        self._ask({"do": "type"}, keys, _CONNECT_DEADLINE, _ignore, _ignore)

    def release(self) -> None:
        """Let a machine go that is kept: whoever keeps it ends it."""
        self._ask({"do": "release"}, b"", _CONNECT_DEADLINE, _ignore, _ignore)

    def _ask(self, ask: dict[str, Any], data: bytes, deadline: float, stdout: Sink, stderr: Sink) -> int:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_CONNECT_DEADLINE)
                with short_name(self.folder / SOCKET) as name:
                    connection.connect(name)
                send_json(connection, Kind.ASK, {**ask, "data": len(data)})
                if data:
                    send(connection, Kind.STDIN, data)
                connection.settimeout(deadline)
                return _answer(connection, stdout, stderr)
        except TimeoutError as error:
            raise MachineLostError(f"machine {self.folder.name} did not answer within {deadline:.0f} s") from error
        except (OSError, DoorError) as error:
            raise MachineLostError(f"machine {self.folder.name} ended, or speaks no longer: {error}") from error


class Visited:
    """A machine seen through its door: its commands are run as `Machine.run` runs them."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        deadline: float = 10.0,
        stdin: bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> Result:
        """As `Machine.run`, `deadline` in seconds on hardware; LabError in the machine's words when it cannot."""
        kept = _Kept()
        seconds = min(deadline * _EMULATED, _MOST_SECONDS)
        status = self.visitor.run(argv, seconds, stdout or kept.out, stderr or kept.err, stdin=stdin)
        done = Result(tuple(argv), status, bytes(kept.stdout), bytes(kept.stderr))
        if check and status != 0:
            printed = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise LabError(f"{shlex.join(argv)} {done.ended} in the guest: {printed[:500]}")
        return done

    def put(self, path: str, file: Path) -> None:
        """As `Machine.put`."""
        self.visitor.put(path, file.absolute(), _PUT_DEADLINE)


class _Kept:
    """What a command printed, up to a bound."""

    def __init__(self) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()

    def out(self, data: bytes) -> None:
        self._keep(self.stdout, data)

    def err(self, data: bytes) -> None:
        self._keep(self.stderr, data)

    def _keep(self, where: bytearray, data: bytes) -> None:
        where.extend(data)
        if len(self.stdout) + len(self.stderr) > _MAX_OUTPUT:
            raise LabError(f"a command in the guest printed more than {_MAX_OUTPUT >> 20} MiB")


def _answer(connection: socket.socket, stdout: Sink, stderr: Sink) -> int:
    sinks: dict[Kind, Callable[[bytes], None]] = {Kind.STDOUT: stdout, Kind.STDERR: stderr}
    while (frame := receive(connection)) is not None:
        kind, payload = frame
        if kind in sinks:
            sinks[kind](payload)
        elif kind is Kind.EXIT:
            return int(read_json(payload)["status"])
        elif kind is Kind.FAILED:
            said = read_json(payload)
            raise LabError(str(said.get("what", "it failed")), hint=str(said.get("hint", "")))
        else:
            raise DoorError(f"a frame of kind {kind.name}")
    raise DoorError("it closed the connection")


def _ignore(_: bytes) -> None:
    pass
