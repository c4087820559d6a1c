"""Whoever clears traces or loads a kernel module is reported.

Source: Falco's rules "Clear Log Activities" and "Linux Kernel Module Injection Detected"; MITRE ATT&CK T1070.002 and
T1547.006.
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing, profiled

LOG = "/var/log/auth.log"
# How a log is cleared, and the event that tells.
CLEARINGS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "truncated": (
        ["sh", "-c", f": >{LOG}"],
        {"type": {"open", "openat"}, "comm": "sh", "name": LOG, "flags": {"O_TRUNC"}},
    ),
    "removed": (["rm", LOG], {"type": {"unlink", "unlinkat"}, "comm": "rm", "name": LOG}),
    "moved": (
        ["mv", LOG, "/var/log/.x"],
        {"type": {"rename", "renameat", "renameat2"}, "comm": "mv", "oldpath": LOG},
    ),
}


def clearing(name: str) -> ParameterSet:
    argv, event = CLEARINGS[name]
    which = {"type": event["type"], "comm": event["comm"]}
    which |= {"name": LOG} if "name" in event else {}
    param = "oldpath" if name == "moved" else "name"
    marks = [
        pytest.mark.attack(f"log-{name}"),
        pytest.mark.syscall(*event["type"]),
        pytest.mark.controls(altered(param, **which), altered("result", **which), missing(**which)),
        *profiled(name, {"truncated"}),
    ]
    return pytest.param(argv, event, id=name, marks=marks)


@pytest.mark.parametrize(("argv", "event"), [clearing(name) for name in CLEARINGS])
def test_a_cleared_log_is_reported(machine: Machine, events: Events, argv: list[str], event: dict[str, Any]) -> None:
    machine.write(LOG, b"somebody logged in\n")
    with events.capture() as seen:
        machine.run(argv)
    cleared = seen.one(**event)
    assert cleared.result is not None
    assert cleared.result >= 0


LOADS = ("init_module", "finit_module")


def load(call: str) -> ParameterSet:
    which = {"type": call, "comm": "attack_calls"}
    marks = [
        pytest.mark.attack("module-load"),
        pytest.mark.syscall(call),
        pytest.mark.controls(altered("result", **which), missing(**which)),
    ]
    return pytest.param(call, id=call, marks=marks)


@pytest.mark.parametrize("call", [load(call) for call in LOADS])
def test_the_load_of_a_module_is_reported(events: Events, actor: Actor, call: str) -> None:
    with events.capture() as seen:
        did = actor("attack_calls", call)
    assert did["result"] < 0, "what is no module was loaded"
    seen.one(type=call, pid=did["pid"], result=did["result"])
