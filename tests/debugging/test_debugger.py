"""A debugger of two CPUs loses no stop: who was told of goes on behind its breakpoint, the other one stops yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lab import arches
from lab.debugging.debugger import Debugger
from lab.debugging.remote import Remote
from lab.debugging.symbols import Symbols
from lab.machines.machine import Machine
from tests.support.stubs import FakeStub

AT = 0x1000  # where the stub says that both CPUs stand


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[FakeStub]:
    made = FakeStub(tmp_path / "gdb.sock")
    made.answers |= {b"vCont;c": b"T05thread:02;", b"vCont;s:1": b"T05thread:01;", b"vCont;s:2": b"T05thread:02;"}
    yield made
    made.end()


@pytest.fixture
def debugger(stub: FakeStub) -> Iterator[Debugger]:
    machine = SimpleNamespace(
        spec=SimpleNamespace(arch=arches.AMD64), scaled=lambda seconds: seconds, check=lambda: None
    )
    with Remote(stub.path, deadline=2) as remote:
        yield Debugger(remote, cast(Machine, machine), Symbols([]))


def resumed(stub: FakeStub) -> list[bytes]:
    """How the guest was let go since it was last asked, in order."""
    found = [heard for heard in stub.heard if heard.startswith(b"vCont;")]
    stub.heard.clear()
    return found


def test_a_cpu_that_stands_at_a_breakpoint_untold_is_not_stepped_over_it(stub: FakeStub, debugger: Debugger) -> None:
    debugger.break_at(AT)
    debugger.go()
    stop = debugger.wait(1)
    assert resumed(stub) == [b"vCont;c"], "nobody was told to stand anywhere"
    assert (stop.cpu, stop.pc, stop.breakpoint) == (1, AT, True)
    debugger.go()
    debugger.wait(1)
    assert set(resumed(stub)) == {b"vCont;s:2", b"vCont;c"}, "the other CPU's stop is still to come"


def test_a_breakpoint_that_was_taken_out_needs_no_step(stub: FakeStub, debugger: Debugger) -> None:
    point = debugger.break_at(AT)
    debugger.go()
    debugger.wait(1)
    debugger.clear(point)
    resumed(stub)
    debugger.go()
    debugger.wait(1)
    assert resumed(stub) == [b"vCont;c"]
