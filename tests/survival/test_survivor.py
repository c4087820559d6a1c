"""What is demanded of a driver behind whatever it went through, and what is said when it does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from lab.drivers.capture import Capture
from lab.drivers.event import Counters, Event
from lab.errors import LoadError, MachineLostError
from lab.evidence.bpf import Program, Snapshot
from lab.survival.memory import Memory, Orphan, Places
from lab.survival.survivor import Survivor

OPEN = Event(
    ts=1,
    cpu=0,
    tid=7,
    pid=7,
    ppid=1,
    comm=b"cat",
    exe=b"/usr/bin/cat",
    type="openat",
    result=3,
    params={"name": b"/etc/hostname"},
)


class Guest:
    """A driver that survives, unless told otherwise."""

    def __init__(self, **told: Any) -> None:
        self.told: dict[str, Any] = {"events": (OPEN,), "loaded": False, "left": Snapshot(), "orphans": ()}
        self.told |= {"held": 1000, "after": 1000, "splats": [], "load": None, "drops": [], "counters": "USR1"} | told
        self.unloaded = 0

    def survivor(self) -> Survivor:
        driver = SimpleNamespace(
            mode=SimpleNamespace(module="tap"),
            consumer=SimpleNamespace(counters=self.told["counters"]),
            unload=self._unload,
            loaded=lambda: self.told["loaded"],
            load=self._load,
        )
        parts: dict[str, Any] = {
            "machine": SimpleNamespace(run=lambda *_: None),
            "driver": driver,
            "events": SimpleNamespace(capture=self._capture, begin=lambda: None),
            "bpftool": SimpleNamespace(left_behind=lambda: self.told["left"]),
            "memory": SimpleNamespace(
                now=lambda: Memory(1000, 0, 0),
                at_most=lambda _: Memory(self.told["after" if self.unloaded else "held"], 0, 0),
                places=lambda *_: Places(),
                orphans=lambda *_: self.told["orphans"],
            ),
            "printk": SimpleNamespace(splats=lambda: self.told["splats"]),
        }
        return Survivor(**parts)

    def _unload(self) -> None:
        self.unloaded += 1

    def _load(self) -> None:
        if self.told["load"]:
            raise self.told["load"]

    @contextmanager
    def _capture(self) -> Iterator[Capture]:
        capture = Capture()
        yield capture
        drops = self.told["drops"].pop(0) if self.told["drops"] else 0
        capture.events, capture.counters, capture.closed = self.told["events"], Counters(1, drops), True


def test_a_driver_that_survives_is_taken_out_and_passes() -> None:
    guest = Guest()
    with guest.survivor()():
        pass
    assert guest.unloaded == 1


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"events": ()}, "no event with type='openat'"),
        ({"loaded": True}, "still loaded"),
        ({"left": Snapshot(programs=(Program(7, "kprobe", "probe"),))}, "left in the kernel: program 7 'probe'"),
        ({"orphans": (Orphan(8192, 0xC0A01234),)}, "memory left behind: 8192 bytes of vmalloc taken at 0xc0a01234"),
        ({"after": 6000}, "memory left behind: 5000 KiB more than before"),
        # What it gives back when it is taken out would hide that.
        ({"held": 6000}, "memory left behind: 5000 KiB more than before"),
        (
            {"splats": [SimpleNamespace(lines=["WARNING: CPU: 0", "Call Trace:"])]},
            "the kernel complained: WARNING: CPU: 0",
        ),
    ],
)
def test_what_does_not_hold_is_said(told: dict[str, Any], said: str) -> None:
    survives = Guest(**told).survivor()
    with pytest.raises(AssertionError) as caught, survives():
        pass
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("counters", "drops", "fails"),
    [("at-end", [5], False), ("at-end", [5, 5], True), ("USR1", [5], True), ("USR1", [0], False)],
)
def test_what_a_reader_lost_before_it_was_asked_is_nothing_against_what_it_is_asked(
    counters: str, drops: list[int], fails: bool
) -> None:
    """One that counts at its end alone counts all its life: the next one has a new count."""
    survives = Guest(counters=counters, drops=drops).survivor()
    with pytest.raises(AssertionError, match="dropped") if fails else nullcontext(), survives():
        pass


def test_a_seed_is_told_with_a_failure_and_with_a_lost_machine() -> None:
    with pytest.raises(AssertionError, match="it broke\nseed 7"), Guest().survivor()("seed 7"):
        raise AssertionError("it broke")
    with pytest.raises(MachineLostError) as caught, Guest().survivor()("seed 7"):
        raise MachineLostError("it died", hint="look")
    assert caught.value.hint == "look; seed 7"


def test_a_failure_within_is_the_one_that_is_told() -> None:
    guest = Guest(events=())
    with pytest.raises(AssertionError, match=r"^mine$"), guest.survivor()():
        raise AssertionError("mine")
    assert guest.unloaded == 0


def test_a_driver_that_leaks_is_seen_each_time_that_it_is_taken_out() -> None:
    guest = Guest(orphans=(Orphan(8192, 0xC0A01234),))
    with pytest.raises(AssertionError, match="memory left behind: 8192 bytes"):
        guest.survivor().take_out()
    assert guest.unloaded == 1


def test_more_memory_may_be_left_where_that_is_said() -> None:
    with Guest(held=6000, after=6000).survivor()(slack=5000), nullcontext():
        pass


def test_a_driver_that_does_not_load_has_failed() -> None:
    survives = Guest(load=LoadError("insmod ended with status 1")).survivor()
    with pytest.raises(AssertionError, match="does not load without tracefs: insmod ended"):
        survives.demand_loads("without tracefs")
