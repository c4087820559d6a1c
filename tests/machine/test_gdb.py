"""Real guests seen through QEMU's gdb stub: on each architecture, on forks of the normal templates."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab import arches
from lab.debugging.debugger import NoStopError, debugging
from lab.debugging.remote import Remote, StubError
from lab.debugging.stacks import Method
from lab.debugging.stub import open_stub
from lab.debugging.symbols import NoSymbolError, read_sections, read_symbols
from lab.errors import LabError
from lab.machines.machine import Machine
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared

CELLS = {"amd64": "6.12", "arm64": "6.12", "riscv64": "debian:stable/6.12"}
OTHERS = ("arm64", "riscv64")
Start = Callable[[Prepared], Machine]


@pytest.fixture
def start(forks: Forks) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(prepared: Prepared) -> Machine:
            def made(machine: Machine) -> None:
                stack.callback(machine.end)

            return forks.start(prepared, "test", made)

        yield start


def in_background(machine: Machine, argv: list[str]) -> Callable[[], Any]:
    """Start a command; what is returned waits for its result."""
    found: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: found.update(result=machine.run(argv)), daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(60)
        return found["result"]

    return result


@pytest.mark.parametrize("name", ["amd64", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_a_path_is_read_at_the_kernels_own_function_and_the_command_goes_on(lab: Lab, start: Start, name: str) -> None:
    arch = arches.find(name)
    machine = start(lab.prepare(Cell(CELLS[name], arch, "")))
    symbols = read_symbols(machine)
    with debugging(machine, symbols, frame_pointers=name != "amd64") as debugger:
        debugger.break_at("do_sys_openat2")
        cat = in_background(machine, ["cat", "/etc/hostname"])
        stop = debugger.run_to(lambda _: debugger.string(debugger.argument(1)) == b"/etc/hostname")
        assert stop.where == "do_sys_openat2"
        assert stop.breakpoint
        stack = debugger.backtrace()
        assert any("openat+0x" in frame for frame in stack.frames), str(stack)
        assert stack.method is (Method.SCAN if name == "amd64" else Method.FRAME_POINTERS)
        assert len(debugger.backtraces()) == lab.settings.cpus
        assert debugger.step().where.startswith("do_sys_openat2+0x")
    assert cat().text.strip() == machine.host_name
    assert machine.run(["cat", "/proc/uptime"]).text != machine.run(["cat", "/proc/uptime"]).text


def test_what_is_written_to_a_programs_memory_is_what_the_kernel_opens(bare: Prepared, start: Start) -> None:
    machine = start(bare)
    machine.run(["sh", "-c", "echo other >/work/b; echo one >/work/a"])
    with debugging(machine) as debugger:
        debugger.break_at("do_sys_openat2")
        cat = in_background(machine, ["cat", "/work/a"])
        debugger.run_to(lambda _: debugger.string(debugger.argument(1)) == b"/work/a")
        debugger.write(debugger.argument(1), b"/work/b\0")
    assert cat().text == "other\n"


def test_a_modules_function_is_found_where_it_was_loaded(lab: Lab, start: Start) -> None:
    driven = lab.prepare(Cell(CELLS["amd64"], arches.AMD64, "falco:kmod"))
    machine = start(driven)
    symbols = read_symbols(machine)
    assert driven.driver is not None
    module = driven.driver.driver.mode.module
    text = read_sections(machine, module)[".text"]
    found = [symbol for symbol in symbols.all() if symbol.module == module and symbol.kind in "tT"]
    assert any(text <= symbol.address < text + (1 << 20) for symbol in found)
    (exit_probe,) = symbols.named("syscall_exit_probe", module)
    with debugging(machine, symbols) as debugger:
        debugger.break_at(f"{module}:syscall_exit_probe")
        true = in_background(machine, ["true"])
        assert debugger.run_to().pc == exit_probe.address
    assert true().status == 0


def test_a_machine_is_debugged_by_one_at_a_time_and_runs_on_afterwards(bare: Prepared, start: Start) -> None:
    machine, other = start(bare), start(bare)
    symbols = read_symbols(machine)
    with debugging(machine, symbols) as debugger:
        with pytest.raises(LabError, match="is being debugged already"), open_stub(machine):
            pass
        # Two machines' sessions have nothing in common.
        with debugging(other, symbols):
            assert debugger.register("rip")
    assert machine.run(["echo", "alive"]).text == "alive\n"
    assert other.run(["echo", "alive"]).text == "alive\n"
    assert not list(machine.folder.path.glob("lab-gdb-*"))


def test_a_function_that_is_never_called_is_waited_for_with_a_deadline(bare: Prepared, start: Start) -> None:
    machine = start(bare)
    with debugging(machine) as debugger:
        with pytest.raises(NoSymbolError, match="inlined"):
            debugger.break_at("no_such_function_at_all")
        debugger.break_at("panic")
        with pytest.raises(NoStopError, match="did not come to panic within"):
            debugger.run_to(deadline=0.2)
        debugger.interrupt()
        with pytest.raises(StubError, match="no memory at 0x10"):
            debugger.memory(0x10, 8)
    assert machine.run(["true"]).status == 0


def test_a_session_that_was_cut_off_leaves_the_guest_running(bare: Prepared, start: Start) -> None:
    machine = start(bare)
    with open_stub(machine) as path:
        Remote(path).close()
    assert machine.run(["echo", "alive"]).text == "alive\n"


def test_a_crashed_guest_still_shows_its_stacks_and_its_memory(bare: Prepared, start: Start, tmp_path: Path) -> None:
    from lab.debugging.evidence import collect  # noqa: PLC0415

    machine = start(bare)
    with pytest.raises(LabError):
        machine.run(["sh", "-c", "echo c >/proc/sysrq-trigger"])
    collect(tmp_path, machine)
    stacks = (tmp_path / "backtraces.txt").read_text()
    assert "sysrq" in stacks, stacks
    note = (tmp_path / "memory.vmcoreinfo").read_text()
    assert f"OSRELEASE={bare.kernel.release}\n" in note
    assert (tmp_path / "memory.kdump").stat().st_size < 256 << 20
    assert not list(tmp_path.glob("*.plain"))
