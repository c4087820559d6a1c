"""What a guest sends: its console, and lines over its virtio-serial ports. Each is read by a thread of its own, so
that a guest never waits for the host, and kept within bounds, because a guest is hostile. What it is sent goes through
a thread too, so that nobody waits for a guest that does not read."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lab.errors import ConsumerError, HostError
from lab.machines.sockets import short_name

_CHUNK = 1 << 16
# What keeping a line costs beside its bytes: 256 MiB of short lines would otherwise be gigabytes of objects.
_LINE_COST = 48


def _cost(line: bytes) -> int:
    return len(line) + _LINE_COST


class Reader:
    """Reads a connected socket to its end in a thread; `self._changed` guards and announces all that came."""

    def __init__(self, path: Path, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._changed = threading.Condition()
        try:
            with short_name(path) as short:
                self._socket.connect(short)
        except OSError:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._read, name=f"lab-{name}", daemon=True)

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(_CHUNK)
            except OSError:
                data = b""
            with self._changed:
                self._take(data)
                self._changed.notify_all()
            if not data:
                return

    def _take(self, data: bytes) -> None:
        """Keep what came; empty at the end of the stream."""
        raise NotImplementedError

    def finish(self, deadline: float) -> bool:
        """Wait for the other side to close the stream and all of it to be taken in; False after `deadline` seconds."""
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def close(self, deadline: float = 5.0) -> None:
        """Stop reading; safe to call twice."""
        with contextlib.suppress(OSError):  # the other side has closed it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(deadline)
        self._socket.close()


class Writer:
    """Sends to a connected socket in a thread. What waits to be sent is as bounded as what its user gives it."""

    def __init__(self, out: socket.socket, name: str) -> None:
        self._socket = out
        self._changed = threading.Condition()
        self._waiting = b""
        self._closed = False
        self._thread = threading.Thread(target=self._write, name=f"lab-{name}-out", daemon=True)
        self._thread.start()

    def send(self, data: bytes, *, instead: bool = False) -> None:
        """Send behind what waits already, or `instead` of it; never blocks, and is silent when nobody listens."""
        with self._changed:
            self._waiting = data if instead else self._waiting + data
            self._changed.notify()

    def close(self, deadline: float = 5.0) -> None:
        """Stop; the socket must have been shut down, or a write that waits would go on. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(deadline)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                data, self._waiting = self._waiting, b""
            # The reader of the same socket notices its end.
            with contextlib.suppress(OSError):
                self._socket.sendall(data)


class Console(Reader):
    """The serial console from its first byte: raw in `raw_file`, and by line with the host's time in `file`."""

    LIMIT = 64 << 20
    TAIL = 1 << 20  # of what comes after, the last

    def __init__(self, path: Path, folder: Path) -> None:
        super().__init__(path, "console")
        self.file, self.raw_file = folder / "console.log", folder / "console.raw"
        self._log, self._raw = self.file.open("wb"), self.raw_file.open("wb")
        self._size, self._line_open = 0, False
        self._tail = b""
        self._fault: OSError | None = None
        self._keys: Writer | None = None
        self._thread.start()

    def type(self, keys: bytes) -> None:
        """Send keys to the guest."""
        with self._changed:
            self._keys = self._keys or Writer(self._socket, "console")
        self._keys.send(keys)

    def _take(self, data: bytes) -> None:
        try:
            self._write(data)
        except OSError as error:
            # Read on without writing: a guest that waits for its console would look as if it hung.
            self._fault = self._fault or error

    def _write(self, data: bytes) -> None:
        room = max(0, self.LIMIT - self._size)
        # What floods the console ends in the words that matter.
        self._tail = (self._tail + data[room:])[-self.TAIL :]
        data = data[:room]
        self._size += len(data)
        self._raw.write(data)
        self._raw.flush()
        stamp = time.strftime("%H:%M:%S", time.gmtime()) + f".{int(time.time() * 1000) % 1000:03d} "
        # The guest's terminal ends lines in \r\n; a chunk may end between the two.
        for line in data.replace(b"\r", b"").splitlines(keepends=True):
            if not self._line_open:
                self._log.write(stamp.encode())
            self._log.write(line)
            self._line_open = not line.endswith(b"\n")
        self._log.flush()

    def read(self) -> bytes:
        """All that was printed until now; HostError when it could not be kept, because then nobody knows."""
        with self._changed:
            if self._fault is not None:
                raise HostError(f"the console could not be recorded: {self._fault}", hint="free some space")
            return self.raw_file.read_bytes() + self._tail

    def wait_past(self, position: int, deadline: float) -> bytes:
        """What was printed behind the first `position` bytes, waited for `deadline` seconds; empty when nothing was."""
        with self._changed:
            self._changed.wait_for(lambda: self._size > position or self._fault is not None, deadline)
        return self.read()[position:]

    def close(self, deadline: float = 5.0) -> None:
        super().close(deadline)
        if self._keys is not None:
            self._keys.close(deadline)
        self._log.close()
        self._raw.close()


class Lines(Reader):
    """Lines that a guest writes to one port. Reading is by index: nothing is taken away, so captures may overlap. Of a
    guest that goes on and on only the last are kept: whoever began before those is told so."""

    MAX_LINE = 1 << 20
    MAX_KEPT = 256 << 20

    def __init__(self, path: Path, name: str, *, cut: bool = False) -> None:
        """With `cut` the first line's beginning went to somebody else: what is left of it is dropped."""
        super().__init__(path, name)
        self._lines: list[bytes] = []
        self._forgotten = 0  # lines, before the first that is kept
        self._kept = 0  # bytes
        self._rest = b""
        self._cut = cut
        self._fault = ""
        self._thread.start()

    def _take(self, data: bytes) -> None:
        if self._fault:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._cut and lines:
            self._cut = False
            del lines[0]
        self._lines += lines
        self._kept += sum(map(_cost, lines))
        if self._kept > self.MAX_KEPT:
            self._forget()
        if len(self._rest) > self.MAX_LINE:
            self._fault = f"the guest sent a line of more than {self.MAX_LINE >> 20} MiB"

    def _forget(self) -> None:
        """Forget the oldest, an eighth of what may be kept, so that it need not be done again for every line."""
        gone = 0
        while self._kept > self.MAX_KEPT - self.MAX_KEPT // 8:
            self._kept -= _cost(self._lines[gone])
            gone += 1
        del self._lines[:gone]
        self._forgotten += gone

    def count(self) -> int:
        """How many whole lines have come."""
        with self._changed:
            return self._forgotten + len(self._lines)

    def within_line(self) -> bool:
        """Whether what has come ends in the middle of a line."""
        with self._changed:
            return bool(self._rest) or self._cut

    def since(self, index: int) -> list[bytes]:
        """The lines from `index` on that have come until now; ConsumerError when the guest broke the bounds."""
        with self._changed:
            if self._fault:
                raise ConsumerError(self._fault)
            if index < self._forgotten:
                raise ConsumerError(f"the guest sent more than {self.MAX_KEPT >> 20} MiB before it was read")
            return self._lines[index - self._forgotten :]

    def wait(self, ready: Callable[[], bool], deadline: float) -> bool:
        """Wait until `ready()` holds, looking again whenever something came; False after `deadline` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._fault != "" or ready(), deadline) and not self._fault

    def announce(self) -> None:
        """Let those who wait look again: something else than a line has changed (the machine died)."""
        with self._changed:
            self._changed.notify_all()
