"""What a deployment asks of its machine, and what it makes of the answers; machines are fakes here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from lab.drivers.build import DriverBuild
from lab.drivers.deploy import Deployment, driver_payload, own_programs, resume
from lab.drivers.event import Counters
from lab.drivers.manifest import find_driver
from lab.drivers.words import how_it_ended
from lab.errors import CommandTimeoutError, ConsumerError, LoadError
from lab.machines.machine import Machine
from lab.machines.result import Result
from tests.support import falco

SAID = b"Driver Events:100\nDriver Drops:3\n"


class FakeMachine:
    """Answers commands by a word in them: `answers` is word -> (status, standard output), all else succeeds.

    `log` is what its kernel says while the first command runs that is not dmesg.
    """

    def __init__(self, **answers: tuple[int, bytes]) -> None:
        self.answers = answers
        self.ran: list[list[str]] = []
        self.slow = ""
        self.log = (b"[    0.500000] before\n",) * 2
        self.spec = cast(Any, type("Spec", (), {"arch": type("Arch", (), {"name": "amd64"})}))

    def run(self, argv: list[str], **_: Any) -> Result:
        self.ran.append(list(argv))
        words = " ".join(argv)
        if words == "dmesg":
            return Result(("dmesg",), 0, self.log[len(self.ran) > 1], b"")
        if self.slow and self.slow in words:
            raise CommandTimeoutError("it did not end")
        status, out = next((answer for word, answer in self.answers.items() if word in words), (0, b""))
        return Result(tuple(argv), status, out, b"")

    def scaled(self, seconds: float) -> float:
        return seconds


def build(request: str, tmp_path: Path, *words: str, **consumer: Any) -> DriverBuild:
    """A driver that was built: `words` are its files, `consumer` what its consumer has otherwise."""
    driver = find_driver(request)
    if consumer:
        driver = dataclasses.replace(driver, mode=driver.manifest.mode(driver.mode_name, driver.version, consumer))
    for word in words:
        (tmp_path / f"{word}.bin").write_bytes(word.encode())
    return DriverBuild(driver, {word: tmp_path / f"{word}.bin" for word in words}, "key", {})


def deployment(machine: FakeMachine, made: DriverBuild, **more: Any) -> Deployment:
    return Deployment(cast(Machine, machine), made, **more)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("lab: ended with status 135\n", "signal 7 (Bus error): it said nothing"),
        ("cannot open\nlab: ended with status 1\n", "status 1: cannot open"),
        ("lab: ended with status 0\n", "status 0: it said nothing"),
        ("its last word\n", "its last word"),
        ("lab: ended with status 999\n", "status 999: it said nothing"),
        ("lab: ended with status 1 or so\n", "lab: ended with status 1 or so"),
    ],
)
def test_a_consumers_end_is_told_with_its_signal_or_status(said: str, told: str) -> None:
    assert how_it_ended(said) == told


def test_what_is_built_goes_into_the_guest_and_its_commands_say_where(tmp_path: Path) -> None:
    made = build("falco:kmod", tmp_path, "module")
    payload = driver_payload(made, {"lab-sentinel": b"sentinel"})
    assert {name: file.data for name, file in payload.items()} == {
        "driver/module.bin": b"module",
        "bin/lab-sentinel": b"sentinel",
    }
    machine = FakeMachine()
    deployment(machine, made).load()
    assert ["insmod", "/run/lab/driver/module.bin"] in machine.ran


def test_a_program_is_called_as_its_driver_is_and_can_be_run(tmp_path: Path) -> None:
    payload = driver_payload(build("falco:kmod", tmp_path, "program"), {})
    assert payload["driver/falco"].mode == 0o755


def test_a_driver_whose_consumer_goes_by_the_boot_clock_gets_the_labs_program_for_it(tmp_path: Path) -> None:
    own = own_programs(build("falco:bpf", tmp_path, "object").driver)
    assert set(own) - set(own_programs(build("falco:kmod", tmp_path, "module").driver)) == {"lab-clock"}


OLD = b"[    1.000000] BUG: sleeping function called from invalid context at an/other.c:1\n"
OOPS = b"[    2.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000\n[    2.000001] RIP: mine\n"


def failed_load(machine: FakeMachine, tmp_path: Path) -> str:
    with pytest.raises(LoadError) as caught:
        deployment(machine, build("falco:kmod", tmp_path, "module")).load()
    assert "driver.toml" in caught.value.hint
    return caught.value.what


def test_a_driver_that_does_not_load_is_told_with_what_the_kernel_complained_of_since(tmp_path: Path) -> None:
    machine = FakeMachine(insmod=(-9, b""))
    machine.log = (OLD, OLD + OOPS)
    assert failed_load(machine, tmp_path).splitlines() == [
        "falco:kmod does not load on amd64: insmod /run/lab/driver/module.bin was ended by signal 9 (Killed)",
        "The kernel complained:",
        "  BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "  RIP: mine",
    ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (b"", b"", []),
        (b"[    1.000000] a\n", b"[    1.000000] a\n", []),
        (b"[    1.000000] a\n", b"[    1.000000] a\n[    2.000000] b\n", ["The kernel said:", "  [    2.000000] b"]),
        # What was last has left the kernel's buffer since.
        (b"[    1.000000] a\n", b"[    2.000000] b\n", ["The kernel said:", "  [    2.000000] b"]),
        (b"", b"[    2.000000] b\n" * 9, ["The kernel said:", *["  [    2.000000] b"] * 8]),
    ],
)
def test_or_with_what_the_kernel_said_since_if_it_said_anything(
    tmp_path: Path, before: bytes, after: bytes, told: list[str]
) -> None:
    machine = FakeMachine(insmod=(1, b"no such thing\n"))
    machine.log = (before, after)
    first, *more = failed_load(machine, tmp_path).splitlines()
    assert first.endswith("insmod /run/lab/driver/module.bin ended with status 1: no such thing")
    assert more == told


def test_a_load_that_does_not_end_is_one_that_failed(tmp_path: Path) -> None:
    machine = FakeMachine()
    machine.slow = "insmod"
    assert failed_load(machine, tmp_path) == "falco:kmod does not load on amd64: it did not end"


def test_events_of_a_consumer_that_goes_by_the_boot_clock_are_moved_as_the_clock_was(tmp_path: Path) -> None:
    machine = FakeMachine(**{"lab-clock": (0, b"1000500\n")})
    forked = resume(cast(Machine, machine), build("falco:bpf", tmp_path, "object"), clock=1000000)
    read, plain = forked.event(falco.line(falco.OPENAT)), falco.adapter().event(falco.line(falco.OPENAT))
    assert read is not None
    assert plain is not None
    assert read.ts == plain.ts + 500
    forked.stop_consumer()
    forked.start_consumer()
    again = forked.event(falco.line(falco.OPENAT))
    assert again == plain, "a consumer that was started since has read the right clock"


def test_events_of_one_that_tells_the_time_itself_are_not(tmp_path: Path) -> None:
    machine = FakeMachine()
    forked = resume(cast(Machine, machine), build("falco:kmod", tmp_path, "module"))
    assert machine.ran == []
    assert forked.event(falco.line(falco.OPENAT)) == falco.adapter().event(falco.line(falco.OPENAT))


def test_a_consumer_that_tells_its_counters_at_its_end_is_stopped_for_them(tmp_path: Path) -> None:
    machine = FakeMachine(**{"lab-consumer stop": (0, SAID)})
    running = deployment(machine, build("falco:kmod", tmp_path, "module"), consuming=True)
    assert running.counters() is None
    assert running.final_counters(None) == Counters(100, 3)
    machine.ran.clear()
    running.start_consumer()
    assert len(machine.ran) == 1, "it was stopped, so it is started again"


def test_one_that_tells_them_on_a_signal_goes_on_and_what_was_before_does_not_count(tmp_path: Path) -> None:
    machine = FakeMachine(**{"lab-consumer tell": (0, SAID)})
    running = deployment(machine, build("falco:kmod", tmp_path, "module", counters="USR1"), consuming=True)
    before = running.counters()
    machine.answers["lab-consumer tell"] = (0, b"Driver Events:150\nDriver Drops:3\n")
    assert running.final_counters(before) == Counters(50, 0)
    machine.ran.clear()
    running.start_consumer()
    assert machine.ran == []


def test_counters_of_which_nobody_knows_what_they_were_before_are_not_known(tmp_path: Path) -> None:
    machine = FakeMachine(**{"lab-consumer tell": (0, SAID)})
    running = deployment(machine, build("falco:kmod", tmp_path, "module", counters="USR1"), consuming=True)
    assert running.final_counters(None) is None


@pytest.mark.parametrize(("counters", "signal"), [("USR1", "SIGUSR1"), ("at-end", "interrupted")])
def test_a_consumer_that_does_not_answer_is_told_as_such(tmp_path: Path, counters: str, signal: str) -> None:
    machine = FakeMachine()
    machine.slow = "lab-consumer"
    running = deployment(machine, build("falco:kmod", tmp_path, "module", counters=counters), consuming=True)
    with pytest.raises(ConsumerError, match=rf"the consumer of falco:kmod did not .*{signal}"):
        running.final_counters(None)


def test_a_driver_that_its_consumer_loads_is_loaded_as_long_as_that_runs(tmp_path: Path) -> None:
    machine = FakeMachine()
    made = build("falco:bpf", tmp_path, "object")
    assert deployment(machine, made, consuming=True).loaded()
    assert not deployment(machine, made).loaded()
    machine.answers["lab-consumer fault"] = (0, b"gone\nlab: ended with status 1\n")
    assert not deployment(machine, made, consuming=True).loaded()
