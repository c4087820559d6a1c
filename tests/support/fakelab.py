"""A lab whose machines are Python objects, for the plugin's own tests: everything above the machine is real."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Event
from lab.drivers.gaps import Gap
from lab.errors import CommandTimeoutError, ConsumerError, MachineLostError
from lab.kernels import transfer
from lab.machines.result import Result
from lab.matrix.cell import Cell
from lab.plugin.session import Session

EVENT = Event("openat", 1, 0, 10, 10, 1, b"cat", b"/usr/bin/cat", 3, {"name": b"/etc/hostname"})
BOOT = b"[    0.000000] Linux version 6.12.1\r\n[    1.000000] scap: loading out-of-tree module taints kernel.\r\n"
CUT = b"[    9.000000] ------------[ cut here ]------------\r\n"
SPLAT = (
    CUT
    + b"[    9.000000] WARNING: CPU: 0 PID: 9 at drivers/x.c:1 x+0x1/0x2\r\n[    9.000000] ---[ end trace 0 ]---\r\n"
)


class FakeMachine:
    """Runs words that mean something to tests: "die", "splat", "silent", "hang", "panic" and "announce"; echoes any
    other."""

    def __init__(self, folder: Path) -> None:
        self.folder = SimpleNamespace(path=folder)
        self.printed = BOOT
        self.console = SimpleNamespace(read=lambda: self.printed)
        self.dead = False
        self.ran: list[list[str]] = []

    def end(self) -> None:
        self.dead = True

    def write(self, path: str, data: bytes) -> None:
        pass

    def install(self, path: str, program: bytes) -> None:
        pass

    def read(self, path: str) -> Result:
        return Result((path,), 0, b"", b"")

    def start(self) -> None:
        pass

    def scaled(self, seconds: float) -> float:
        return seconds

    def alive(self) -> bool:
        return not self.dead

    def check(self) -> None:
        if self.dead:
            raise MachineLostError("the machine died: a test let it")

    def answers_monitor(self) -> bool:
        return False

    def command_line(self) -> str:
        return "qemu"

    def run(self, argv: list[str], **_: Any) -> Result:
        self.ran.append(argv)
        match argv[0]:
            case "die" | "panic":
                self.dead = True
                self.printed += b"[    9.000000] Kernel panic - not syncing: a test\r\n" if argv[0] == "panic" else b""
                self.check()
            case "splat":
                self.printed += SPLAT
            case "announce":
                self.printed += f"[    9.000000] lab-actor: {argv[1]}\r\n".encode()
            case "die-quietly":
                self.dead = True
            case "silent":
                raise ConsumerError("the consumer reported nothing")
            case "hang":
                raise CommandTimeoutError("hang did not end")
        return Result(tuple(argv), 0, " ".join(argv).encode(), b"")


class FakeEvents:
    """Every capture sees the same one event."""

    def __init__(self, _: object) -> None:
        self.recorded: list[Capture] = []

    @contextmanager
    def capture(self) -> Iterator[Capture]:
        capture = Capture()
        yield capture
        capture.events, capture.counters, capture.closed = (EVENT,), Counters(1, 0), True
        self.recorded.append(capture)


class FakeForks:
    """Forks of a fake lab: `error` is what starting one raises."""

    def __init__(self, lab: FakeLab) -> None:
        self.lab = lab
        self.error: Exception | None = None
        self.started: list[str] = []
        self.how: list[dict[str, bool]] = []

    def start(self, _: object, name: str, made: Callable[[FakeMachine], None], **how: bool) -> FakeMachine:
        self.how.append(how)
        self.started.append(name.rpartition("::")[2].partition("[")[0])
        if self.error:
            raise self.error
        machine = self.lab.machine()
        made(machine)
        return machine


@dataclass(frozen=True)
class FakeChoice:
    """A kernel that was resolved, `number` times until then in its process."""

    request: str
    number: int
    release: str = "6.12.1-fake"
    origin: str = "fake:archive"

    @property
    def version(self) -> str:
        return f"{self.request}-{self.number}"


class FakeKernels:
    """Kernels that every request means; `unknown`, `errors` and `several` as in FakeLab."""

    def __init__(self, lab: FakeLab) -> None:
        self._lab = lab
        self._resolved: Counter[str] = Counter()

    def expand(self, text: str, _: object) -> list[str]:
        found = self._lab.several[text]
        if isinstance(found, Exception):
            raise found
        return found

    def resolve(self, text: str, _: object) -> FakeChoice:
        if self._lab.in_worker:
            raise AssertionError("a worker resolved a kernel")
        if text in self._lab.unknown:
            raise self._lab.unknown[text]
        self._resolved[text] += 1
        return FakeChoice(text, self._resolved[text])

    def pack(self, found: list[Any]) -> bytes:
        return transfer.pack(found, {})

    def unpack(self, data: bytes) -> list[Any]:
        return transfer.unpack(data, {})


class FakeLab:
    """Makes fake machines; `prepare` raises `errors[kernel]` where there is one, resolving it `unknown[kernel]`.

    `several` is what requests for several kernels mean, or the error when an archive is asked for it. In a worker
    nothing may be resolved.
    """

    def __init__(self, folder: Path, *, in_worker: bool = False) -> None:
        self.folder = folder
        self.in_worker = in_worker
        self.errors: dict[str, Exception] = {}
        self.gaps: tuple[Gap, ...] = ()
        self.sees: tuple[str, ...] = ()
        self.notice: Callable[[str], None] = lambda _: None
        self.unknown: dict[str, Exception] = {}
        self.several: dict[str, list[str] | Exception] = {}
        self.kernels = FakeKernels(self)
        self.machines: list[FakeMachine] = []
        self.forks = FakeForks(self)

    def prepare(self, cell: Cell, choice: FakeChoice) -> Any:
        if cell.kernel in self.errors:
            raise self.errors[cell.kernel]
        kernel = SimpleNamespace(
            exact="debian/6.12.1-cloud",
            release=choice.release,
            version=choice.version,
            origin=choice.origin,
            series="6.12",
            arch=cell.arch,
        )
        driver = SimpleNamespace(
            driver=SimpleNamespace(name=cell.driver, mode=SimpleNamespace(gaps=self.gaps, sees=self.sees)),
            provenance={},
            module=None,
        )
        return SimpleNamespace(
            versions=lambda: {"cell": cell.slug},
            kernel=kernel,
            driver=driver,
            cell=cell,
            acceleration=SimpleNamespace(kind="tcg"),
            qemu=SimpleNamespace(version="10.0"),
        )

    def machine(self, *_: object) -> FakeMachine:
        self.machines.append(FakeMachine(self.folder))
        return self.machines[-1]

    def deploy(self, machine: FakeMachine, _: object) -> Any:
        return SimpleNamespace(machine=machine, loaded=lambda: True)


def install(lab: FakeLab, patch: pytest.MonkeyPatch) -> None:
    """Put it in the place of the plugin's lab, where that would reach for kernels and machines."""

    def of(session: Session) -> FakeLab:
        lab.notice = session.notice
        return lab

    patch.setattr(Session, "lab", property(of))
    patch.setattr(Session, "forks", property(lambda _: lab.forks))
    patch.setattr("lab.plugin.fixtures.Events", FakeEvents)
    for name in ("KERNEL", "DRIVER", "ACCEL"):
        patch.delenv(f"LAB_{name}", raising=False)


@pytest.fixture
def fake_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLab:
    lab = FakeLab(tmp_path)
    install(lab, monkeypatch)
    return lab
