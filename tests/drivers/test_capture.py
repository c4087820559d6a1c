"""A capture holds what happened between its marks on every CPU, or says why it cannot."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from lab.drivers.build import DriverBuild
from lab.drivers.capture import Events, UncountedLossError
from lab.drivers.deploy import Deployment
from lab.drivers.event import Counters
from lab.drivers.manifest import find_driver
from lab.errors import ConsumerError, MachineLostError
from lab.machines.machine import Machine
from lab.machines.streams import Lines
from tests.support import falco

CPUS = [0, 1]
LAB = 99  # the process that makes the marks


def opened(path: str, cpu: int = 0, pid: int = 10) -> bytes:
    who = {"evt__cpu": cpu, "thread__tid": pid, "proc__pid": pid}
    return falco.line(falco.OPENAT, evt__arg__name=path, **who) + b"\n"


@dataclass
class FakeMachine:
    """What a capture needs of a machine: the lines that come from it, and whether it lives."""

    events: Lines
    dead: bool = False
    scale: float = 0.02

    def alive(self) -> bool:
        return not self.dead

    def check(self) -> None:
        if self.dead:
            raise MachineLostError("the machine died")

    def scaled(self, seconds: float) -> float:
        return seconds * self.scale


class Guest(Deployment):
    """A deployment whose consumer prints what a test says, through a real port of lines."""

    def __init__(self, lines: Lines, side: socket.socket) -> None:
        build = DriverBuild(find_driver("falco:kmod"), {"module": Path("scap.ko")}, "key", {})
        self.fake = FakeMachine(lines)
        super().__init__(cast(Machine, self.fake), build)
        self.side = side
        self.fault = ""
        self.said = Counters(100, 0)
        self.mark: Callable[[str, int], bytes] = lambda prefix, cpu: opened(f"{prefix}/{cpu}", cpu, LAB)
        self.calls: list[str] = []

    def print(self, data: bytes) -> None:
        self.side.sendall(data)

    def start_consumer(self) -> None:
        self.calls.append("start")

    def stop_consumer(self) -> Counters | None:
        self.calls.append("stop")
        return self.said

    def consumer_fault(self) -> str:
        return self.fault

    def emit_sentinels(self, prefix: str) -> list[int]:
        self.prefixes.add(prefix)
        self.print(b"".join(self.mark(prefix, cpu) for cpu in CPUS))
        return CPUS


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        lines = Lines(tmp_path / "s", "events")
        side, _ = listener.accept()
        with side:
            yield Guest(lines, side)
        lines.close()


def names(events: Any) -> list[Any]:
    return [event["name"] for event in events]


def test_what_happened_in_the_block_is_captured_and_nothing_of_before_or_after(guest: Guest) -> None:
    guest.print(opened("/before"))
    events = Events(guest)
    with events.capture() as seen:
        guest.print(opened("/one") + opened("/two", cpu=1))
    guest.print(opened("/after"))
    assert names(seen.events) == [b"/one", b"/two"]
    assert (seen.closed, seen.counters) == (True, Counters(100, 0))
    assert events.recorded == [seen]
    assert guest.calls == ["start", "stop"]


def test_the_labs_own_marks_are_no_events(guest: Guest) -> None:
    with Events(guest).capture() as seen:
        guest.print(opened("/etc/ld.so.cache", pid=LAB))
    assert seen.events == ()


def test_a_program_that_opens_what_looks_like_a_mark_is_seen(guest: Guest) -> None:
    """A process that made a mark is left out with all that it does: nobody else may be taken for one."""
    with Events(guest).capture() as seen:
        guest.print(opened("/lab-c6d71f5b-first/0", pid=11) + opened("/one", pid=11))
    assert names(seen.events) == [b"/lab-c6d71f5b-first/0", b"/one"]


def test_an_event_of_one_cpu_that_comes_behind_anothers_mark_is_kept(guest: Guest) -> None:
    """Order holds on each CPU alone."""

    def late(prefix: str, cpu: int) -> bytes:
        before = opened("/late", cpu=1) if prefix.endswith("-end") and cpu == 1 else b""
        return before + opened(f"{prefix}/{cpu}", cpu, LAB)

    guest.mark = late
    with Events(guest).capture() as seen:
        pass
    assert names(seen.events) == [b"/late"]


def test_an_open_capture_is_empty(guest: Guest) -> None:
    with Events(guest).capture() as seen:
        guest.print(opened("/one"))
        assert (seen.events, seen.closed) == ((), False)


@pytest.mark.parametrize("edge", ["begin", "end"])
def test_a_cpu_whose_mark_never_comes_is_named(guest: Guest, edge: str) -> None:
    def silent(prefix: str, cpu: int) -> bytes:
        return b"" if edge in prefix and cpu == 1 else opened(f"{prefix}/{cpu}", cpu, LAB)

    guest.mark = silent
    with pytest.raises(ConsumerError, match="no sentinel came from CPU 1"), Events(guest).capture():
        pass


def test_a_mark_reported_from_another_cpu_proves_nothing(guest: Guest) -> None:
    guest.mark = lambda prefix, cpu: opened(f"{prefix}/{cpu}", 1 - cpu, LAB)
    with pytest.raises(ConsumerError, match="no sentinel came from CPU 0, 1"), Events(guest).capture():
        pass


def test_a_reader_that_is_behind_is_told_from_one_that_stopped(guest: Guest) -> None:
    guest.mark = lambda prefix, cpu: opened(f"{prefix}/{cpu}" if "-begin" in prefix else "/busy", cpu, LAB)
    with pytest.raises(ConsumerError) as behind, Events(guest).capture():
        pass
    assert "still came" in behind.value.hint
    guest.mark = lambda prefix, cpu: opened(f"{prefix}/{cpu}", cpu, LAB) if "-begin" in prefix else b""
    with pytest.raises(ConsumerError) as stopped, Events(guest).capture():
        pass
    assert "stopped on the way" in stopped.value.hint


@pytest.mark.parametrize("edge", ["begin", "end"])
def test_a_consumer_that_ended_is_told_in_its_own_words(guest: Guest, edge: str) -> None:
    ordinary = guest.mark

    def dying(prefix: str, cpu: int) -> bytes:
        if edge in prefix:
            guest.fault = "sysdig: error opening device"
            return b""
        return ordinary(prefix, cpu)

    guest.mark = dying
    with pytest.raises(ConsumerError, match="ended: sysdig: error opening device"), Events(guest).capture():
        pass


def test_a_machine_that_died_is_lost_and_not_a_silent_consumer(guest: Guest) -> None:
    with pytest.raises(MachineLostError), Events(guest).capture():
        guest.fake.dead = True


def test_a_consumer_that_starts_late_is_marked_again(guest: Guest) -> None:
    guest.fake.scale = 1.0
    ordinary = guest.mark
    missed: list[int] = []

    def starting(prefix: str, cpu: int) -> bytes:
        if len(missed) < 4:
            missed.append(cpu)
            return b""
        return ordinary(prefix, cpu)

    guest.mark = starting
    with Events(guest).capture() as seen:
        guest.print(opened("/one"))
    assert names(seen.events) == [b"/one"]


@pytest.mark.parametrize(("others", "waits"), [(200, True), (20, False)])
def test_a_consumer_that_has_much_to_report_first_is_waited_for(guest: Guest, others: int, waits: bool) -> None:
    guest.fake.scale = 0.01  # of ten seconds to start
    ordinary = guest.mark
    began = time.monotonic()

    def behind(prefix: str, cpu: int) -> bytes:
        return ordinary(prefix, cpu) if time.monotonic() > began + 0.3 else opened("/other", cpu) * others

    guest.mark = behind
    if waits:
        with Events(guest).capture():
            pass
    else:
        with pytest.raises(ConsumerError, match="reported nothing"), Events(guest).capture():
            pass


@pytest.mark.parametrize("path", ["/lab-x/²", "/lab-x/9" + "9" * 4000, "/lab-", "/lab-x/", "/lab-x/-1", "/lab-x/00"])
def test_a_program_in_the_guest_that_forges_marks_disturbs_nothing(guest: Guest, path: str) -> None:
    with Events(guest).capture() as seen:
        guest.print(opened(path))
    assert names(seen.events) == [path.encode()]


@pytest.mark.parametrize("data", [b"garbage\n", b"[]\n", b"[" * 100_000 + b"\n", b"1e999\n", b"null\n"])
def test_a_line_that_cannot_be_read_is_an_error_of_the_consumer(guest: Guest, data: bytes) -> None:
    with pytest.raises(ConsumerError, match="cannot read"), Events(guest).capture():
        guest.print(data)


def test_more_than_the_host_shall_keep_of_one_capture_is_an_error(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.drivers.marks._MOST", 1 << 20)
    line = opened("/tmp/" + "x" * 4000)
    with pytest.raises(ConsumerError, match="prints more than is read: more than 1 MiB"), Events(guest).capture():
        guest.print(line * 300)


def test_unknown_counters_stay_unknown(guest: Guest) -> None:
    guest.said = cast(Counters, None)
    with Events(guest).capture() as seen:
        pass
    with pytest.raises(AssertionError, match="not known"):
        seen.none(type="openat")


def test_two_captures_one_after_the_other_have_each_their_own(guest: Guest) -> None:
    events = Events(guest)
    for path in ("/one", "/two"):
        with events.capture() as seen:
            guest.print(opened(path))
        assert names(seen.events) == [path.encode()]
    assert len(events.recorded) == 2


def losing(guest: Guest) -> None:
    """The first mark of the end never comes from CPU 1, and the next ones do."""
    guest.mark = lambda prefix, cpu: b"" if prefix.endswith("-end") and cpu else opened(f"{prefix}/{cpu}", cpu, LAB)


def test_a_mark_of_the_end_that_was_dropped_is_made_again(guest: Guest) -> None:
    losing(guest)
    guest.said = Counters(100, 3)
    with Events(guest).capture() as seen:
        guest.print(opened("/one", cpu=1))
    assert names(seen.events) == [b"/one"]
    assert seen.counters == Counters(100, 3)


@pytest.mark.parametrize(("said", "told"), [(Counters(100, 0), "counted no drop"), (None, "has no counters")])
def test_a_mark_of_the_end_that_was_lost_and_not_counted_is_the_drivers_fault(
    guest: Guest, said: Counters | None, told: str
) -> None:
    losing(guest)
    guest.said = cast(Counters, said)
    why = f"lost the mark of the capture's end and {told}"
    events = Events(guest)
    with pytest.raises(UncountedLossError, match=why), events.capture() as seen:
        guest.print(opened("/one"))
    assert not seen.closed
    assert [names(capture.events) for capture in events.recorded] == [[b"/one"]], "what came is evidence"


def test_a_mark_of_the_end_that_is_only_late_is_no_loss(guest: Guest) -> None:
    held: list[bytes] = []

    def late(prefix: str, cpu: int) -> bytes:
        mark = opened(f"{prefix}/{cpu}", cpu, LAB)
        if prefix.endswith("-end"):
            held.append(mark)
            return b""
        return b"".join(held) + mark

    guest.mark = late
    with Events(guest).capture() as seen:
        pass
    assert seen.closed


def test_a_consumer_that_died_is_not_waited_for_to_the_end(guest: Guest) -> None:
    guest.fake.scale = 1.0
    guest.mark = lambda prefix, cpu: b"" if "-end" in prefix else opened(f"{prefix}/{cpu}", cpu, LAB)
    began = time.monotonic()
    with pytest.raises(ConsumerError, match="its consumer ended: killed"), Events(guest).capture():
        guest.fault = "killed"
    assert time.monotonic() - began < 2
