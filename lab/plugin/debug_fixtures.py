"""The fixtures `gdb`, `kgdb` and `vmcore`: a scenario's guest seen from outside.

What they answer goes on the tape, so that a scenario's controls run without a machine; a test's own function that is
given to `gdb.run_to` is called with the debugger itself, and only then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from lab.arches import Arch
from lab.debugging.debugger import STOP_DEADLINE, Debugger, Stop, debugging
from lab.debugging.debuginfo import DebugSource
from lab.debugging.dump import take_dump
from lab.debugging.kdb import Kdb
from lab.debugging.stacks import Backtrace
from lab.debugging.symbols import Symbols, symbols_once
from lab.debugging.vmcore import Vmcore
from lab.drivers.deploy import Deployment
from lab.errors import LabError, UnsupportedError
from lab.kernels.kernel import Kernel
from lab.machines.machine import Machine
from lab.machines.result import Result
from lab.matrix.provision import Prepared
from lab.plugin.fixtures import SESSION
from lab.plugin.session import Scenario
from lab.plugin.tape import Taped

_KNOWN = pytest.StashKey[dict[str, Symbols]]()
_LEAVE = pytest.StashKey[list[Callable[[], None]]]()
_JOIN_DEADLINE = 60.0


def known_symbols(config: pytest.Config, machine: Machine) -> Symbols:
    """The machine's symbols, read once for all forks of a template."""
    return symbols_once(machine, config.stash.setdefault(_KNOWN, {}))


def frame_pointers(kernel: Kernel, arch: Arch) -> bool:
    """Whether the kernel keeps frame pointers: arm64's and riscv64's do, on amd64 only where it was configured."""
    return arch.name != "amd64" or kernel.option("UNWINDER_FRAME_POINTER") == "y"


class GdbFixture:
    """The `gdb` fixture: attach, break, run, look, detach."""

    def __init__(self, machine: Machine, kernel: Kernel, known: dict[str, Symbols]) -> None:
        self._machine = machine
        self._kernel = kernel
        self._known = known
        self._stack = ExitStack()
        self._debugger: Debugger | None = None
        self._commands: list[tuple[threading.Thread, dict[str, Any]]] = []

    def symbols(self) -> Symbols:
        """The guest's symbols as they are now; read once for all forks of a template, until `refresh`."""
        return symbols_once(self._machine, self._known)

    def attach(self) -> None:
        """Stop the guest and debug it, until `detach` or the scenario's end."""
        symbols = self.symbols()
        pointers = frame_pointers(self._kernel, self._machine.spec.arch)
        self._debugger = self._stack.enter_context(debugging(self._machine, symbols, frame_pointers=pointers))

    def detach(self) -> None:
        """Take all breakpoints out and let the guest run on."""
        self._stack.close()
        self._debugger = None

    def start(self, argv: Sequence[str]) -> None:
        """Start a command in the guest without waiting for it; it goes on when the guest runs."""
        answer: dict[str, Any] = {}

        def work() -> None:
            try:
                answer["result"] = self._machine.run(argv, check=False)
            except LabError as error:
                answer["error"] = error

        thread = threading.Thread(target=work, name="lab-gdb-command", daemon=True)
        thread.start()
        self._commands.append((thread, answer))

    def finish(self) -> Result:
        """The result of the command that was started first, waited for."""
        thread, answer = self._commands.pop(0)
        thread.join(self._machine.scaled(_JOIN_DEADLINE))
        if "error" in answer:
            raise answer["error"]
        if "result" not in answer:
            raise LabError("the command in the guest has not ended", hint="does the guest stand at a breakpoint?")
        return cast(Result, answer["result"])

    def break_at(self, where: str | int, *, hardware: bool = False) -> int:
        """Stop at a function (`name`, `module:name`) or an address, which is returned."""
        return self._live.break_at(where, hardware=hardware).address

    def run_to(self, wanted: Callable[[Debugger], bool] = lambda _: True, deadline: float = STOP_DEADLINE) -> Stop:
        """Let the guest run until it stops where `wanted` holds (`deadline` in seconds on hardware)."""
        return self._live.run_to(lambda _: wanted(self._live), deadline)

    def interrupt(self) -> Stop:
        """Stop the guest now."""
        return self._live.interrupt()

    def step(self) -> Stop:
        """One instruction on the CPU that stopped."""
        return self._live.step()

    def go(self) -> None:
        """Let the guest run, the breakpoints in."""
        self._live.go()

    def argument(self, number: int) -> int:
        """An argument of the function that the guest stopped at, the first being 0."""
        return self._live.argument(number)

    def register(self, name: str) -> int:
        """A register of the CPU that stopped."""
        return self._live.register(name)

    def registers(self) -> dict[str, int]:
        """All general registers of the CPU that stopped."""
        return self._live.registers()

    def memory(self, address: int, size: int) -> bytes:
        """Memory, the kernel's or the program's."""
        return self._live.memory(address, size)

    def string(self, address: int) -> bytes:
        """The bytes up to the first zero."""
        return self._live.string(address)

    def write(self, address: int, data: bytes) -> None:
        """Write memory, the kernel's or the program's."""
        self._live.write(address, data)

    def backtrace(self) -> Backtrace:
        """The stack of the CPU that stopped."""
        return self._live.backtrace()

    def backtraces(self) -> list[Backtrace]:
        """Every CPU's stack."""
        return self._live.backtraces()

    @property
    def _live(self) -> Debugger:
        if self._debugger is None:
            raise LabError("gdb is not attached", hint="gdb.attach() first")
        return self._debugger


class VmcoreFixture:
    """The `vmcore` fixture: `take()`, then tasks, stacks and variables of the dump."""

    def __init__(self, machine: Machine, prepared: Prepared, source: DebugSource, folder: Path) -> None:
        self._machine = machine
        self._prepared = prepared
        self._source = source
        self._folder = folder

    def take(self) -> Vmcore:
        """Dump the guest's memory, crashed or running, and open it."""
        info = self._source.find(self._prepared.kernel)
        if info is None:
            raise UnsupportedError(
                f"there is no debug information of kernel {self._prepared.kernel.release}",
                hint=f"lab kernel fetch --debug {self._prepared.kernel.exact}",
            )
        driver = self._prepared.driver
        debug = driver.module.with_name("debug.ko") if driver and driver.module else None
        modules = [debug] if debug and debug.is_file() else []
        return Vmcore(take_dump(self._machine, self._folder), info.vmlinux, modules)


def _note(request: pytest.FixtureRequest, leave: Callable[[], None]) -> None:
    request.node.stash.setdefault(_LEAVE, []).append(leave)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Let the guest run on when the scenario's body is over: what judges the machine afterwards asks it."""
    try:
        return (yield)
    finally:
        for leave in pyfuncitem.stash.get(_LEAVE, []):
            # A guest that died has nothing to be let go; who judges it says so.
            with suppress(LabError):
                leave()


@pytest.fixture
def gdb(request: pytest.FixtureRequest, deployment: Deployment, scenario: Scenario) -> GdbFixture:
    """The guest through QEMU's stub: `gdb.attach()`, `gdb.break_at("do_sys_openat2")`, `gdb.run_to()`, ..."""
    known = request.config.stash.setdefault(_KNOWN, {})
    made = GdbFixture(deployment.machine, cast(Prepared, scenario.prepared).kernel, known)
    _note(request, made.detach)
    return cast(GdbFixture, Taped(made, scenario.tape, "gdb"))


@pytest.fixture
def kgdb(request: pytest.FixtureRequest, deployment: Deployment, scenario: Scenario) -> Kdb:
    """The kernel's own debugger: `kgdb.enter()`, `kgdb.tasks()`, `kgdb.command("bt")`, `kgdb.go()`; unsupported, naming
    a kernel that has it, on those without."""
    made = Kdb(deployment.machine, cast(Prepared, scenario.prepared).kernel)
    _note(request, made.leave)
    return cast(Kdb, Taped(made, scenario.tape, "kgdb"))


@pytest.fixture
def vmcore(request: pytest.FixtureRequest, deployment: Deployment, scenario: Scenario, tmp_path: Path) -> VmcoreFixture:
    """A dump of the guest: `core = vmcore.take()`, then `core.tasks()`, `core.stack(pid)`, `core.variable(name)`."""
    lab = request.config.stash[SESSION].lab
    source = DebugSource(lab.store, lab.settings, lab.notice)
    made = VmcoreFixture(deployment.machine, cast(Prepared, scenario.prepared), source, tmp_path)
    return cast(VmcoreFixture, Taped(made, scenario.tape, "vmcore"))
