"""What a driver must survive of the machine it runs on: other preemption, CPUs that go, clocks that are set, sleep."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import Any

import pytest

from lab.drivers.capture import Capture, Events
from lab.drivers.deploy import Deployment
from lab.drivers.event import Event
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.plugin.profiles import Profile
from lab.scenario import altered, answered, missing, wrong
from lab.survival.conditions import Conditions
from lab.survival.provoked import Came, Provoked
from lab.survival.survivor import READ, Survivor, survived

LEAKS = wrong("leak", word="memory left behind")
ON_CPU_1 = {"type": "openat", "comm": "cat", "name": "/work/on-cpu-1"}
PREEMPTED = {"type": "openat", "comm": "preempted"}
NAME = re.compile(rb"/work/t-(\d{1,3})-(\d{1,6})-x*")


def name_of(thread: int, number: int) -> bytes:
    """The path that scenarios/actors/preempted.c opens."""
    return b"/work/t-%d-%d-" % (thread, number) + b"x" * ((37 * number + 11 * thread) % 211)


@pytest.mark.parametrize("model", ["full", pytest.param("none", marks=pytest.mark.profile("full"))])
@pytest.mark.controls(
    *survived(), altered("name", **PREEMPTED), missing(**PREEMPTED), LEAKS, wrong("per-cpu", word="openat")
)
def test_events_are_whole_however_the_kernel_is_preempted(
    survives: Survivor, events: Events, conditions: Conditions, actor: Actor, profile: Profile, model: str
) -> None:
    """Source: falcosecurity/libs#2719, falcosecurity/falco#3955: events of one CPU written over by a task that
    preempted another, on 7.0."""
    # In parts, so that a slow reader has no more than one of them to catch up with.
    parts, opens = profile.pick(smoke=(1, 50), default=(1, 100), full=(5, 1000))
    with survives(f"preempted as {model}"):
        conditions.preemption(model)
        for _ in range(parts):
            with events.capture() as seen:
                did = actor("preempted", "4", str(opens))
            demand_whole(seen, did, opens)


def demand_whole(seen: Capture, did: dict[str, Any], opens: int) -> None:
    """Of each thread's opens every one came, with its own name and result, or was counted as dropped."""
    told = [event for event in seen.all(type="openat", pid=did["pid"]) if event.tid != did["pid"]]
    results = {event.result for event in told}
    assert results <= {-errno.ENOENT}, f"result of openat: {results}"
    ours = [Opened.of(event) for event in told]
    torn = [str(opened) for opened in ours if not opened.whole]
    assert not torn, f"{len(torn)} openat have a name that nobody opened: {torn[:3]}"
    wanted = {(thread, number) for thread in range(did["threads"]) for number in range(opens)}
    lost = wanted - {(opened.thread, opened.number) for opened in ours}
    # What the driver counted as dropped was not lost in silence.
    drops = seen.counters.drops if seen.counters else 0
    assert len(lost) <= drops, (
        f"{len(lost)} of {len(wanted)} openat never came, by thread and number: {sorted(lost)[:3]}"
    )
    tasks = {(opened.thread, opened.tid) for opened in ours}
    known = did["threads"] + did["wakers"]
    assert len(tasks) == known, f"openat of {known} threads have a name of another: {sorted(tasks)}"


@dataclass(frozen=True)
class Opened:
    """What an event says of an open of scenarios/actors/preempted.c: whose by its name, and by its task."""

    name: bytes
    tid: int
    thread: int = -1
    number: int = -1

    @classmethod
    def of(cls, event: Event) -> Opened:
        name = event.params.get("name")
        text = name if isinstance(name, bytes) else b""
        found = NAME.fullmatch(text)
        return cls(text, event.tid, int(found[1]), int(found[2])) if found else cls(text, event.tid)

    @property
    def whole(self) -> bool:
        return self.name == name_of(self.thread, self.number)


@pytest.mark.controls(*survived(), missing(**ON_CPU_1), LEAKS)
def test_a_cpu_goes_and_comes_back(
    survives: Survivor, machine: Machine, driver: Deployment, events: Events, conditions: Conditions
) -> None:
    with survives():
        driver.stop_consumer()
        conditions.cpu(1, on=False)
        survives.demand_reports()
        conditions.cpu(1, on=True)
        with events.capture() as seen:
            machine.run(["taskset", "-c", "1", "cat", "/work/on-cpu-1"], check=False)
        seen.one(**ON_CPU_1)


@pytest.mark.profile("full")
@pytest.mark.controls(answered("driver.consumer_fault", "it was seen to go", word="consumer ended"), missing(**READ))
def test_its_consumer_goes_on_when_a_cpu_goes_and_comes_back(
    survives: Survivor, machine: Machine, driver: Deployment, events: Events, conditions: Conditions
) -> None:
    events.begin()
    conditions.cpu(1, on=False)
    machine.run(["cat", "/etc/hostname"])
    conditions.cpu(1, on=True)
    machine.run(["cat", "/etc/hostname"])
    fault = driver.consumer_fault()
    assert not fault, f"its consumer ended: {fault}"
    survives.demand_reports()


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), LEAKS)
def test_it_is_loaded_without_tracefs(survives: Survivor, driver: Deployment, conditions: Conditions) -> None:
    """Source: falcosecurity/falco#3726, #3961: without tracefs a part of the modern probe was not attached."""
    with survives():
        driver.unload()
        conditions.without_tracefs()
        survives.demand_loads("without tracefs")


@pytest.mark.controls(*survived(), LEAKS)
def test_a_kernel_that_is_locked_down_lets_it_go_on(survives: Survivor, conditions: Conditions) -> None:
    """Source: kernel_lockdown(7): integrity forbids to load an unsigned module, and no more."""
    with survives():
        conditions.lockdown("integrity")


@pytest.mark.profile("full")
@pytest.mark.controls(
    answered("provoke.load_again", Came(0, ""), word="it was loaded"),
    answered("driver.loaded", True, word="still loaded"),
    answered("bpftool.left_behind", "a program", word="a program"),
)
def test_a_module_that_a_locked_down_kernel_refuses_leaves_nothing(
    survives: Survivor, driver: Deployment, conditions: Conditions, provoke: Provoked
) -> None:
    driver.unload()
    conditions.lockdown("integrity")
    came = provoke.load_again()
    assert came.status, "it was loaded, though no unsigned module may be"
    assert "not permitted" in came.said, f"what loads it says: {came.said}"
    survives.demand_gone()


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), LEAKS)
def test_the_clock_is_set_back_a_day(survives: Survivor, conditions: Conditions) -> None:
    with survives():
        conditions.clock_back(86400)


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), LEAKS)
def test_the_machine_sleeps_and_wakes(survives: Survivor, conditions: Conditions) -> None:
    with survives():
        conditions.suspend("deep")
