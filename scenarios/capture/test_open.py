"""What a driver must report of opening a file."""

from __future__ import annotations

import errno

import pytest

from lab.drivers.capture import Events
from lab.machines.machine import Machine
from lab.scenario import altered, missing

pytestmark = pytest.mark.profile("smoke")

EXISTING = {"type": "openat", "comm": "cat", "name": "/etc/hostname"}
ABSENT = {"type": "openat", "comm": "cat", "name": "/work/no-such-file"}


@pytest.mark.syscall("openat")
@pytest.mark.controls(
    altered("name", **EXISTING), altered("flags", **EXISTING), altered("result", **EXISTING), missing(**EXISTING)
)
def test_an_open_is_reported_with_its_path_flags_and_result(machine: Machine, events: Events) -> None:
    with events.capture() as seen:
        machine.run(["cat", "/etc/hostname"])
    opened = seen.one(**EXISTING, flags={"O_RDONLY"})
    assert opened.result is not None
    assert opened.result >= 0


@pytest.mark.syscall("openat")
@pytest.mark.controls(altered("name", **ABSENT), altered("result", **ABSENT), missing(**ABSENT))
def test_an_open_of_a_missing_file_is_reported_with_its_error(machine: Machine, events: Events) -> None:
    with events.capture() as seen:
        machine.run(["cat", "/work/no-such-file"], check=False)
    seen.one(**ABSENT, result=-errno.ENOENT)
