"""Whoever writes into another process's memory is reported, with the victim.

Source: MITRE ATT&CK T1055.008 (ptrace), T1055.009 (/proc/PID/mem); Falco's rules "PTRACE attached to process" and
"PTRACE anti-debug attempt"; process_vm_writev has an event and no rule.
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing

INJECTOR = "inject_code"
# By number, or by name.
REQUESTS = {
    "PTRACE_TRACEME": {0, "PTRACE_TRACEME"},
    "PTRACE_ATTACH": {16, "PTRACE_ATTACH"},
    "PTRACE_POKEDATA": {5, "PTRACE_POKEDATA"},
}
VICTIM = 7  # what it ends with when its memory was changed


def request(name: str) -> dict[str, Any]:
    return {"type": "ptrace", "comm": INJECTOR, "request": REQUESTS[name]}


@pytest.mark.attack("ptrace")
@pytest.mark.syscall("ptrace")
@pytest.mark.controls(
    altered("request", **request("PTRACE_POKEDATA")),
    altered("target", **request("PTRACE_ATTACH")),
    missing(**request("PTRACE_ATTACH")),
)
def test_writing_by_ptrace_is_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        did = actor(INJECTOR, "ptrace")
    assert did["status"] == VICTIM
    for name in ("PTRACE_ATTACH", "PTRACE_POKEDATA"):
        seen.one(**request(name), pid=did["pid"], target=did["victim"], result=0)


@pytest.mark.profile("full")
@pytest.mark.attack("ptrace-traceme")
@pytest.mark.syscall("ptrace")
@pytest.mark.controls(altered("request", **request("PTRACE_TRACEME")), missing(**request("PTRACE_TRACEME")))
def test_asking_to_be_traced_is_reported(events: Events, actor: Actor) -> None:
    with events.capture() as seen:
        did = actor(INJECTOR, "traceme")
    assert did["status"] == VICTIM
    seen.one(**request("PTRACE_TRACEME"), pid=did["victim"], result=0)


def written(way: str, which: dict[str, Any], param: str) -> ParameterSet:
    marks = [
        pytest.mark.attack(way),
        pytest.mark.syscall("process_vm_writev" if "target" in param else "openat"),
        pytest.mark.controls(altered(param, **which), missing(**which)),
    ]
    return pytest.param(way, param, id=way, marks=marks)


@pytest.mark.parametrize(
    ("way", "param"),
    [
        written("process_vm_writev", {"type": "process_vm_writev", "comm": INJECTOR}, "target"),
        written("proc_mem", {"type": {"open", "openat"}, "comm": INJECTOR}, "name"),
    ],
)
def test_writing_without_ptrace_is_reported(events: Events, actor: Actor, way: str, param: str) -> None:
    with events.capture() as seen:
        did = actor(INJECTOR, way)
    assert did["status"] == VICTIM
    if param == "target":
        seen.one(type="process_vm_writev", pid=did["pid"], target=did["victim"], result=8)
    else:
        seen.one(type={"open", "openat"}, pid=did["pid"], name=f"/proc/{did['victim']}/mem", flags={"O_RDWR"})
