"""What a process does through an io_uring is reported as what it does by system calls.

Source: "io_uring Rootkit Bypasses Linux Security Tools" (ARMO, 2025), whose "curing" Falco did not see;
falcosecurity/libs has io_uring_setup, _enter and _register as events, and none for what they make happen.
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing, profiled

SECRET = "/work/secret"
RING = "ring_attack"
# What is done, the events by which it can be told, the parameter that tells it, and the calls that do it.
DEEDS: dict[str, tuple[str, set[str]]] = {
    "open": ("name", {"open", "openat", "openat2"}),
    "read": ("result", {"read", "pread64"}),
    "connect": ("port", {"connect"}),
    "send": ("port", {"sendto", "sendmsg"}),
}


def done(way: str, deed: str) -> ParameterSet:
    param, types = DEEDS[deed]
    # Reads of a C library's own are no news.
    which: dict[str, Any] = {"type": types, "comm": RING} | ({"result": 11} if deed == "read" else {})
    marks = [
        pytest.mark.attack(f"io_uring-{deed}" if way == "ring" else deed),
        pytest.mark.syscall(*types),
        pytest.mark.controls(altered(param, **which), missing(**which)),
        # By the call it is what other scenarios have; by the ring it is the news.
        *profiled(f"{deed}-by-{way}", {"open-by-ring", "connect-by-ring"}),
    ]
    return pytest.param(way, deed, id=f"{deed}-by-{way}", marks=marks)


@pytest.mark.parametrize(("way", "deed"), [done(way, deed) for way in ("call", "ring") for deed in DEEDS])
def test_a_deed_is_reported_by_whatever_way_it_is_done(
    machine: Machine, events: Events, actor: Actor, way: str, deed: str
) -> None:
    machine.write(SECRET, b"eleven more")
    with events.capture() as seen:
        did = actor(RING, way, deed, SECRET)
    if "unsupported" in did:
        raise UnsupportedError(did["unsupported"])
    told: dict[str, dict[str, Any]] = {
        "open": {"name": SECRET},
        "read": {"result": len(b"eleven more")},
        "connect": {"address": "127.0.0.1", "port": did["port"]},
        "send": {"address": "127.0.0.1", "port": did["port"]},
    }
    seen.one(type=DEEDS[deed][1], comm=RING, pid=did["pid"], **told[deed])


@pytest.mark.attack("io_uring-ring")
@pytest.mark.syscall("io_uring_setup", "io_uring_enter")
@pytest.mark.controls(missing(type="io_uring_setup", comm=RING), missing(type="io_uring_enter", comm=RING))
def test_the_ring_itself_is_reported(machine: Machine, events: Events, actor: Actor) -> None:
    machine.write(SECRET, b"eleven more")
    with events.capture() as seen:
        did = actor(RING, "ring", "open", SECRET)
    if "unsupported" in did:
        raise UnsupportedError(did["unsupported"])
    seen.one(type="io_uring_setup", pid=did["pid"])
    seen.one(type="io_uring_enter", pid=did["pid"], result=1)
