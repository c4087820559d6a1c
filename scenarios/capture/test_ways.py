"""Whatever way leads to a file, the call that takes it is reported as it was made, with what the kernel made of it.

Source: openat2(2), RESOLVE_*; falcosecurity/falco#2203 (/proc/self/root); symbolic and
hard links, bind mounts.
"""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from lab.calls.ways import WAYS
from lab.drivers.capture import Events
from lab.plugin.call_fixtures import Calls
from lab.scenario import altered, missing, profiled

DEFAULT = {"RESOLVE", "symlink", "bind mount", "deleted folder"}
# A program that is run by its descriptor is called by that number on older kernels.
CALLED = {"syscalls", "true", "3"}


def taken(name: str) -> ParameterSet:
    call = WAYS[name]
    which = {"type": call.name, "comm": CALLED}
    controls = [*(altered(param, **which) for param in sorted({*call.params, "result"})), missing(**which)]
    # By its own name too: a gap may be of one way.
    marks = [
        pytest.mark.syscall(call.name, name),
        pytest.mark.controls(*controls),
        *profiled(name, DEFAULT, {"symlink"}),
    ]
    return pytest.param(name, id=name, marks=marks)


@pytest.mark.parametrize("name", [taken(name) for name in WAYS])
def test_a_way_to_a_file_is_reported(events: Events, calls: Calls, name: str) -> None:
    lines = calls.script(WAYS[name])
    with events.capture() as seen:
        made = calls.make(lines)
    calls.demand(WAYS[name], made, seen)
