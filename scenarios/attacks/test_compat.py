"""A 64-bit process's 32-bit calls (int $0x80) are reported as what they are.

Source: falcosecurity/libs#279, which #1196 and #1417 mended; socketcall's connect has no event of its own at its entry.
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing, profiled, wrong

FILE = "/work/secret"
INT80 = "int80_attack"
# A number of a 32-bit call means another one in 64 bits: who takes 5 for fstat sees no open.
CALLS: dict[str, tuple[str, str]] = {
    "open": ("open", "name"),
    "unlink": ("unlink", "name"),
    "connect": ("connect", "port"),
    "socketcall": ("connect", "port"),
}


def made(call: str) -> ParameterSet:
    kind, param = CALLS[call]
    which: dict[str, Any] = {"type": kind, "comm": INT80}
    which |= {"name": FILE} if param == "name" else {}
    marks = [
        pytest.mark.attack(f"int80-{call}"),
        pytest.mark.syscall(kind),
        pytest.mark.controls(altered(param, **which), missing(**which), wrong("no-compat", word=kind)),
        *profiled(call, {"open", "socketcall"}, {"open"}),
    ]
    return pytest.param(call, id=call, marks=marks)


@pytest.mark.parametrize("call", [made(call) for call in CALLS])
def test_a_32_bit_call_of_a_64_bit_process_is_reported(
    machine: Machine, events: Events, actor: Actor, call: str
) -> None:
    machine.write(FILE, b"secret")
    with events.capture() as seen:
        did = actor(INT80, call, FILE)
    if "unsupported" in did:
        raise UnsupportedError(did["unsupported"])
    kind, param = CALLS[call]
    told = {"name": FILE} if param == "name" else {"address": "127.0.0.1", "port": did["port"]}
    seen.one(type=kind, pid=did["pid"], result=did["result"], **told)


@pytest.mark.profile("full")
@pytest.mark.attack("int80-execve")
@pytest.mark.syscall("execve")
@pytest.mark.controls(
    altered("filename", type="execve", comm="fileless_exec"),
    missing(type="execve", comm="fileless_exec"),
    wrong("no-compat", word="execve"),
)
def test_a_program_that_is_run_by_a_32_bit_call_is_reported(machine: Machine, events: Events, actor: Actor) -> None:
    actor("fileless_exec")
    machine.run(["cp", "/run/lab/bin/fileless_exec", "/work/fileless_exec"])
    with events.capture() as seen:
        did = actor(INT80, "execve", "/work/fileless_exec")
    if "unsupported" in did:
        raise UnsupportedError(did["unsupported"])
    seen.one(type="execve", comm="fileless_exec", pid=did["pid"], filename="/work/fileless_exec", result=0)
