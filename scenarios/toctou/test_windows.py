"""Whatever moment another thread chooses to change an argument: what is reported is what the kernel acted on.

Source: "Phantom Attack: Evading System Call Monitoring" (Guo and Zeng, DEF CON 29, 2021); falcosecurity/libs#252. The
moments are chosen from outside the guest (lab/races), so each answer is the same every time.
"""

from __future__ import annotations

import socket
import struct

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.races.race import Race
from lab.races.schedule import Buffer
from lab.races.windows import Window
from lab.scenario import altered, missing

# As in actors/race_call.c.
AT = 0x20000000
NAMES = {"asked": "/work/race/asked", "other": "/work/race/other"}
PORTS = {"asked": 4001, "other": 4002}


def address(which: str) -> bytes:
    """A struct sockaddr_in."""
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(PORTS[which]), bytes((127, 0, 0, 1)))


def by_name(call: str, param: str) -> ParameterSet:
    which = {"type": call, "comm": "race_call"}
    return pytest.param(call, param, id=call, marks=[pytest.mark.syscall(call), _controls(param, which)])


def _controls(param: str, which: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.controls(altered(param, **which), missing(**which))


@pytest.mark.parametrize(
    ("call", "param"),
    [
        by_name("openat", "name"),
        by_name("openat2", "name"),
        by_name("unlinkat", "name"),
        by_name("renameat2", "oldpath"),
        by_name("linkat", "oldpath"),
        by_name("symlinkat", "linkpath"),
        by_name("fchmodat", "name"),
    ],
)
def test_no_moment_misleads_about_a_path(
    machine: Machine, events: Events, actor: Actor, race: Race, call: str, param: str
) -> None:
    for window in Window:
        machine.run(["rm", "-rf", "/work/race"])
        new = NAMES["other"].encode() + b"\0"
        with events.capture() as seen, race.swap(call, Buffer.path(AT, NAMES["asked"]), new, at=window):
            did = actor("race_call", call)
        assert did["acted"] in NAMES, f"{window}: the kernel acted on {did['acted']}"
        seen.one(type=call, pid=did["pid"], **{param: NAMES[did["acted"]]})


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            call,
            marks=[
                pytest.mark.syscall(call),
                pytest.mark.controls(
                    altered("port", type=call, comm="race_call"), missing(type=call, comm="race_call")
                ),
            ],
        )
        for call in ("connect", "bind", "sendto")
    ],
)
def test_no_moment_misleads_about_an_address(
    machine: Machine, events: Events, actor: Actor, race: Race, call: str
) -> None:
    for window in Window:
        machine.run(["rm", "-rf", "/work/race"])
        with events.capture() as seen, race.swap(call, Buffer(AT, address("asked")), address("other"), at=window):
            did = actor("race_call", call)
        assert did["acted"] in PORTS, f"{window}: the kernel acted on {did['acted']}"
        seen.one(type=call, pid=did["pid"], port=PORTS[did["acted"]])
