"""What a driver must survive of those who read and load it: who dies, comes twice, or takes it out under a reader."""

from __future__ import annotations

import pytest

from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.machines.machine import Machine
from lab.plugin.profiles import Profile
from lab.scenario import answered, missing, wrong
from lab.survival.load import Load
from lab.survival.provoked import Came, Provoked, Second
from lab.survival.survivor import READ, Survivor, survived

LEAKS = wrong("leak", word="memory left behind")
BESIDE = {"type": "openat", "comm": "cat", "name": "/work/beside-the-second"}


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), LEAKS)
def test_its_consumer_may_be_killed_under_load_and_start_again(
    survives: Survivor, events: Events, provoke: Provoked, load: Load, profile: Profile
) -> None:
    deaths = profile.pick(smoke=1, default=1, full=20)
    with survives(f"deaths: {deaths}"), load(deaths):
        for _ in range(deaths):
            provoke.kill_consumer()
            events.begin()


@pytest.mark.controls(*survived(), LEAKS)
def test_killed_with_its_consumer_and_taken_out_at_once_it_leaves_nothing(
    survives: Survivor, driver: Deployment, provoke: Provoked, load: Load
) -> None:
    with survives():
        with load():
            provoke.kill_consumer()
            driver.unload()
        survives.demand_loads("after its consumer was killed")


@pytest.mark.profile("full")
@pytest.mark.controls(
    *survived(),
    missing(**BESIDE),
    answered("provoke.second_consumer", Second(False, 0, ""), word="second consumer"),
    LEAKS,
)
def test_a_second_consumer_reports_too_or_says_why_not(
    survives: Survivor, machine: Machine, events: Events, provoke: Provoked
) -> None:
    with survives():
        with events.capture() as seen:
            second = provoke.second_consumer()
            machine.run(["cat", "/work/beside-the-second"], check=False)
        assert second.reports or (second.status and second.said), f"the second consumer said nothing: {second}"
        seen.one(**BESIDE)


@pytest.mark.profile("smoke")
@pytest.mark.controls(*survived(), answered("provoke.unload_now", Came(0, "1"), word="taken out"), LEAKS)
def test_it_is_not_taken_out_while_it_is_read(survives: Survivor, provoke: Provoked) -> None:
    with survives():
        came = provoke.unload_now()
        assert came.status, f"a module that is read was taken out: {came}"
        references = came.said.partition("\n")[0]
        assert int(references) > 0, f"nobody holds the module: {came}"


@pytest.mark.controls(*survived(), answered("provoke.load_again", Came(0, ""), word="loaded twice"), LEAKS)
def test_it_is_not_loaded_twice(survives: Survivor, provoke: Provoked) -> None:
    with survives():
        came = provoke.load_again()
        assert came.status, "it was loaded twice"
        assert "exists" in came.said, f"what loads it twice says: {came.said}"


@pytest.mark.profile("full")
@pytest.mark.controls(*survived(), missing(**READ))
def test_opens_while_a_consumer_is_killed_are_no_harm_to_the_next(
    survives: Survivor, events: Events, provoke: Provoked, load: Load
) -> None:
    with survives():
        provoke.kill_consumer()
        # Nobody reads: whatever holds what is reported fills, or nothing is reported at all.
        with load():
            events.begin()
        survives.demand_reports()
