"""Whatever moment another thread chooses to change an argument: what is reported is what the kernel acted on.

Source: "Phantom Attack: Evading System Call Monitoring" (Guo and Zeng, DEF CON 29, 2021); falcosecurity/libs#252. The
moments are chosen from outside the guest (lab/races), so each answer is the same every time.
"""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.races.judge import demand_right
from lab.races.race import Race
from lab.races.subjects import SUBJECTS
from lab.scenario import altered, missing, profiled

CALLS = (
    "open", "openat", "openat2", "creat", "execve", "unlinkat", "renameat2", "linkat", "symlinkat", "symlinkat-target",
    "fchmodat", "mount", "mount-source", "connect", "bind", "sendto",
)  # fmt: skip
DEFAULT = {"openat", "execve", "unlinkat"}


def raced(name: str) -> ParameterSet:
    subject = SUBJECTS[name]
    which = {"type": subject.call, "comm": set(subject.comms)}
    marks = [
        pytest.mark.syscall(subject.call),
        pytest.mark.controls(altered(subject.params[0], **which), missing(**which)),
        *profiled(name, DEFAULT, {"openat"}),
    ]
    return pytest.param(name, id=name, marks=marks)


@pytest.mark.parametrize("name", [raced(name) for name in CALLS])
def test_no_moment_misleads_about_an_argument(events: Events, race: Race, name: str) -> None:
    with events.capture() as seen:
        calls = [race.call(name, at=window) for window in SUBJECTS[name].windows]
    demand_right(calls, seen)
