"""An HTTP server on 127.0.0.1 that serves a folder, counts what it is asked for, and can be told to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatchcase
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote

_SILENCE = 120.0  # no test is that patient; the server's end cuts it short


class Fault(Enum):
    """What may go wrong with one file."""

    GONE = auto()  # 404
    BROKEN = auto()  # 500
    SILENT = auto()  # no answer at all
    STALLED = auto()  # half of it, then nothing more
    TRUNCATED = auto()  # half of it, then the connection is closed
    WRONG = auto()  # as many bytes as it has, and one of them another


@dataclass
class _Rule:
    pattern: str
    fault: Fault
    times: int


@dataclass
class Served:
    """A folder that is being served at `url`."""

    url: str
    asked: list[str] = field(default_factory=list)
    closing: Event = field(default_factory=Event)
    _rules: list[_Rule] = field(default_factory=list)

    def spoil(self, pattern: str, fault: Fault, times: int = 1_000_000) -> None:
        """Let the next `times` requests for paths like `pattern` (fnmatch) fail."""
        self._rules.append(_Rule(pattern, fault, times))

    def mend(self) -> None:
        """Serve everything as it is again."""
        self._rules.clear()

    def count(self, pattern: str) -> int:
        """How often paths like `pattern` were asked for."""
        return sum(fnmatchcase(path, pattern) for path in self.asked)

    def meet(self, path: str) -> Fault | None:
        """Note a request and say how it shall fail."""
        self.asked.append(path)
        for rule in self._rules:
            if rule.times and fnmatchcase(path, rule.pattern):
                rule.times -= 1
                return rule.fault
        return None


@contextmanager
def serve(root: Path) -> Iterator[Served]:
    """Serve the folder while the block lasts."""
    served = Served("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(root), served=served))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, served: Served, directory: str) -> None:
        self._served = served
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        # A suite that is published twice in one second has the same date and is not the same.
        del self.headers["If-Modified-Since"]
        match self._served.meet(unquote(self.path)):
            case None:
                super().do_GET()
            case Fault.GONE:
                self.send_error(404)
            case Fault.BROKEN:
                self.send_error(500)
            case Fault.SILENT:
                self._served.closing.wait(_SILENCE)
            case Fault.WRONG:
                self._send(lambda content: bytes([content[0] ^ 1]) + content[1:])
            case Fault.TRUNCATED:
                self._send(lambda content: content[: len(content) // 2])
            case Fault.STALLED:
                self._send(lambda content: content[: len(content) // 2])
                self._served.closing.wait(_SILENCE)

    def _send(self, change: Callable[[bytes], bytes]) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(change(content))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        pass
