"""What a driver must report of changes to directories."""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.machines.machine import Machine
from lab.scenario import altered, missing

pytestmark = pytest.mark.profile("smoke")

REMOVED = {"type": "unlinkat", "comm": "rm"}
# mv uses the newest of these that the kernel has.
RENAMED = {"type": {"rename", "renameat", "renameat2"}, "comm": "mv"}


@pytest.mark.syscall("unlinkat")
@pytest.mark.controls(altered("name", **REMOVED), altered("result", **REMOVED), missing(**REMOVED))
def test_a_removed_file_is_reported_with_its_path(machine: Machine, events: Events) -> None:
    machine.write("/work/victim", b"content")
    with events.capture() as seen:
        machine.run(["rm", "/work/victim"])
    seen.one(**REMOVED, name="/work/victim", result=0)


@pytest.mark.syscall("rename", "renameat", "renameat2")
@pytest.mark.controls(
    altered("oldpath", **RENAMED), altered("newpath", **RENAMED), altered("result", **RENAMED), missing(**RENAMED)
)
def test_a_renamed_file_is_reported_with_both_paths(machine: Machine, events: Events) -> None:
    machine.write("/work/before", b"content")
    with events.capture() as seen:
        machine.run(["mv", "/work/before", "/work/after"])
    seen.one(**RENAMED, oldpath="/work/before", newpath="/work/after", result=0)
