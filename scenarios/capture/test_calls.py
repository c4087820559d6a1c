"""Every way to make a system call is reported with its parameters and with what the kernel returned.

Source: falcosecurity/libs test/drivers, which covers most of these calls one parameter at a time and on one kernel; its
events of NULL and unreadable pointers, long paths and 32-bit calls are what drivers get wrong (libs#279, #1196).
"""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from lab.calls.judge import RESULT
from lab.calls.table import CALLS
from lab.drivers.capture import Events
from lab.plugin.call_fixtures import Calls
from lab.scenario import altered, missing, profiled

COMMS = {"syscalls", "true"}
# Of calls that drivers treat alike (five that set user and group, the older ones of files), the default has one.
DEFAULT = {
    "openat", "openat2", "execve", "execveat", "clone3", "exit_group", "connect", "bind", "accept4", "sendto",
    "unlinkat", "renameat2", "linkat", "symlinkat", "fchmodat", "mount", "setns", "unshare", "setresuid", "bpf",
    "io_uring_setup", "open_by_handle_at",
}  # fmt: skip
SMOKE = {"execve"}


def asked(name: str) -> ParameterSet:
    which = {"type": name, "comm": COMMS}
    told = [what for what in CALLS[name].params if what != RESULT]
    controls = [*(altered(param, **which) for param in told), missing(**which)]
    if CALLS[name].returns:
        controls.append(altered(RESULT, **which))
    marks = [
        pytest.mark.syscall(name),
        pytest.mark.controls(*controls),
        *profiled(name, DEFAULT, SMOKE),
    ]
    return pytest.param(name, id=name, marks=marks)


@pytest.mark.parametrize("name", [asked(name) for name in CALLS])
def test_a_call_is_reported(events: Events, calls: Calls, name: str) -> None:
    lines = calls.script(CALLS[name])
    with events.capture() as seen:
        made = calls.make(lines)
    calls.demand(CALLS[name], made, seen)
