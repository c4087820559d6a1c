"""Whoever changes an argument under way, by whatever means: what is reported is what the kernel acted on.

Source: "Phantom Attack: Evading System Call Monitoring" (Guo and Zeng, DEF CON 29, 2021, and Black Hat USA 2022);
CVE-2021-33505, CVE-2022-26316; falcosecurity/libs#235 and #252.

An actor makes each call many times while something changes its argument, and finds out from the objects what the kernel
acted on. How often the report of the same call was another one stands in the message and in results.jsonl. Where what
the kernel acted on never varied, or nothing changed under way, the verdict is unsupported.
"""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.plugin.profiles import Profile
from lab.plugin.trial_fixtures import Trials
from lab.scenario import Control, altered, missing, wrong

RACER = "racer"
PROGRAMS = {"a-file-of-the-r", "b-file-of-the-r"}
# A machine makes those that its architecture has; the ones without "at" are amd64's.
FAMILIES = {
    "opens": ("open", "openat", "openat2", "creat"),
    "names": (
        "unlink", "unlinkat", "rename", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmodat",
        "mount",
    ),
    "addresses": ("connect", "bind", "sendto"),
    "programs": ("execve",),
}  # fmt: skip
CONTROLS: dict[str, tuple[Control, ...]] = {
    "opens": (
        altered("fd_name", type={"open", "openat"}, comm=RACER),
        missing(type="openat", comm=RACER),
    ),
    "names": (
        altered("name", type="unlinkat", comm=RACER),
        altered("oldpath", type="renameat2", comm=RACER),
        missing(type="unlinkat", comm=RACER),
    ),
    "addresses": (altered("port", type="connect", comm=RACER), missing(type="connect", comm=RACER)),
    "programs": (altered("filename", type="execve", comm=PROGRAMS), missing(type="execve", comm=PROGRAMS)),
}
EXIT_ONLY = wrong("exit-only", word="reports were wrong")
PARALLEL = pytest.mark.parallel("the argument must change while the call is made, not between two slices of time")


def family(name: str, *, misleads: bool = True, profile: str = "") -> ParameterSet:
    """A family of calls; `misleads` whether this way misleads who reads at the exit. Whoever executes a program has
    lost the memory by then."""
    more = (EXIT_ONLY,) if misleads and name != "programs" else ()
    controls = pytest.mark.controls(*CONTROLS[name], *more)
    marks = [pytest.mark.syscall(*FAMILIES[name]), controls]
    # A mark of the whole scenario's counts where there is none here.
    marks += [pytest.mark.profile(profile)] if profile else []
    return pytest.param(name, id=name, marks=marks)


def families(*default: str, misleads: bool = True) -> list[ParameterSet]:
    """Every family of calls, of which these are in the default profile."""
    return [family(name, misleads=misleads, profile="" if name in default else "full") for name in FAMILIES]


@PARALLEL
@pytest.mark.parametrize("name", families("opens", "names"))
def test_a_race_misleads_nobody(events: Events, trials: Trials, profile: Profile, name: str) -> None:
    with events.capture() as seen:
        made = trials.run("plain", FAMILIES[name], profile.pick(smoke=8, default=16, full=300))
    trials.demand_right(made, seen)


@PARALLEL
@pytest.mark.profile("full")
@pytest.mark.parametrize("name", families())
def test_a_race_for_a_32_bit_call_misleads_nobody(events: Events, trials: Trials, profile: Profile, name: str) -> None:
    with events.capture() as seen:
        made = trials.run("plain", FAMILIES[name], profile.pick(smoke=8, default=16, full=300), compat=True)
    trials.demand_right(made, seen)


@PARALLEL
@pytest.mark.parametrize("name", families("opens"))
def test_a_race_for_what_is_not_in_memory_at_first_misleads_nobody(
    events: Events, trials: Trials, profile: Profile, name: str
) -> None:
    with events.capture() as seen:
        made = trials.run("cold", FAMILIES[name], profile.pick(smoke=8, default=16, full=300))
    trials.demand_right(made, seen)


@pytest.mark.parametrize("name", families("opens"))
def test_a_change_at_a_page_fault_misleads_nobody(events: Events, trials: Trials, profile: Profile, name: str) -> None:
    with events.capture() as seen:
        made = trials.run("fault", FAMILIES[name], profile.pick(smoke=3, default=4, full=40))
    trials.demand_right(made, seen)


# A program that is executed does not wait for anybody. A silent peer is asked again after a second.
@pytest.mark.parametrize("name", [family("opens"), family("addresses", profile="full")])
def test_a_change_while_a_call_is_blocked_misleads_nobody(
    events: Events, trials: Trials, profile: Profile, name: str
) -> None:
    calls = [call for call in FAMILIES[name] if call not in ("bind", "sendto")]
    with events.capture() as seen:
        made = trials.run("blocked", calls, profile.pick(smoke=2, default=3, full=20))
    trials.demand_right(made, seen)


# Whoever reads at the exit is right too: the change comes before the kernel looks.
@pytest.mark.parametrize("name", families("names", misleads=False))
def test_a_change_at_a_stop_of_seccomps_is_reported(
    events: Events, trials: Trials, profile: Profile, name: str
) -> None:
    with events.capture() as seen:
        made = trials.run("seccomp", FAMILIES[name], profile.pick(smoke=3, default=4, full=40))
    trials.demand_right(made, seen)


@pytest.mark.profile("full")
@pytest.mark.parametrize("name", [family(name, misleads=False) for name in FAMILIES if name != "programs"])
def test_a_change_at_a_stop_of_ptraces_is_reported(events: Events, trials: Trials, profile: Profile, name: str) -> None:
    with events.capture() as seen:
        made = trials.run("ptraced", FAMILIES[name], profile.pick(smoke=3, default=4, full=40))
    trials.demand_right(made, seen)


@pytest.mark.profile("full")
@PARALLEL
@pytest.mark.parametrize("name", families())
def test_a_race_in_a_storm_of_interrupts_misleads_nobody(
    events: Events, trials: Trials, profile: Profile, name: str
) -> None:
    with events.capture() as seen:
        made = trials.run("storm", FAMILIES[name], profile.pick(smoke=8, default=16, full=300))
    trials.demand_right(made, seen)
