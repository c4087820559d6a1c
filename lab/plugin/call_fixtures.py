"""The fixture `calls`: a system call in all its variants, made by one actor, judged one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from lab.calls.judge import MISSING, Fault, MadeCall, demand_made, faults, known_here, made_of
from lab.calls.known import gap_of, told, untrue
from lab.calls.spec import Call, Line, rendered, script
from lab.drivers.expect import Expectations
from lab.drivers.gaps import Gap
from lab.errors import KnownGapError, UnsupportedError
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor, Actors
from lab.plugin.gaps import narrow_of
from lab.plugin.session import Scenario
from lab.plugin.tape import Taped

_SCRIPT = "/work/calls"
_ACTOR = "syscalls"


class Calls:
    """Makes calls, and judges what was reported of them. What the manifest knows to be wrong of some variants is
    excused, once: a control that alters it is not."""

    def __init__(self, machine: Machine, actors: Actors, scenario: Scenario, gaps: Sequence[Gap]) -> None:
        self._machine, self._actors, self._scenario, self._gaps = machine, actors, scenario, gaps
        self._actor = cast(Actor, Taped(actors.run, scenario.tape, "actor"))
        self._excused: set[Fault] = set()

    def script(self, call: Call) -> list[Line]:
        """Put the call's script and the actor into the guest. UnsupportedError when its architecture has no such
        call."""
        arch = self._scenario.cell.arch
        lines = script(call, arch)
        if not any(line.variant for line in lines):
            raise UnsupportedError(f"{arch.name} has no {call.name}")
        self._actors.place(_ACTOR)
        self._machine.write(_SCRIPT, rendered(lines, arch))
        return lines

    def make(self, lines: Sequence[Line]) -> list[MadeCall]:
        """Make the calls."""
        return made_of(lines, self._actor(_ACTOR, _SCRIPT))

    def demand(self, call: Call, made: Sequence[MadeCall], seen: Expectations) -> None:
        """AssertionError that names the variants whose events do not say what the kernel did, and what is wrong;
        UnsupportedError when this kernel has no such call."""
        __tracebackhide__ = True
        known = known_here(made)
        variants = {call.variant.name for call in known if call.variant}
        if not variants:
            raise UnsupportedError(f"this kernel has no {call.name}")
        demand_made(known)
        found = faults(call.name, known, seen)
        if self._scenario.tape.replaying:
            self._demand_nothing(call, [fault for fault in found if fault not in self._excused])
            return
        self._demand_nothing(call, [fault for fault in found if gap_of(fault, self._gaps) is None])
        wrong = untrue(self._gaps, found, variants)
        if wrong:
            raise AssertionError(f"the manifest lists gaps of {call.name} that were reported right: {'; '.join(wrong)}")
        self._excuse(found, variants)

    def _demand_nothing(self, call: Call, found: Sequence[Fault]) -> None:
        __tracebackhide__ = True
        if found:
            raise AssertionError(told(call.name, found))

    def _excuse(self, found: Sequence[Fault], variants: set[str]) -> None:
        texts: dict[str, list[str]] = {}
        for fault in found:
            gap = gap_of(fault, self._gaps)
            texts.setdefault(gap.text if gap else "", []).append(f"{fault.variant}: {fault.what}")
        lines = [f"{text} [{'] ['.join(where)}]" for text, where in texts.items()]
        if variants <= {fault.variant for fault in found if fault.what == MISSING}:
            raise KnownGapError("; ".join(lines))
        self._excused.update(found)
        self._scenario.gaps.extend(lines)


@pytest.fixture
def calls(request: pytest.FixtureRequest, machine: Machine, actors: Actors, scenario: Scenario) -> Calls:
    """A system call's variants: `calls.script(call)`, `calls.make(lines)` in a capture, `calls.demand(call, made,
    seen)`."""
    return Calls(machine, actors, scenario, narrow_of(request.node, scenario))
