"""Drivers and consumers that are wrong, in real machines: each is told in a sentence, and the next run works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import arches, settings
from lab.drivers.build import DriverBuild, build_driver
from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment, deploy
from lab.drivers.manifest import find_driver
from lab.errors import ConsumerError, LabError, LoadError, MachineLostError, UnsupportedError
from lab.machines.fork import Fork
from lab.machines.machine import PAYLOAD, Machine
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab
from tests.support.runs import DRIVERS

KERNEL = settings.load().kernel


class Bench:
    """Machines of the default kernel, each with the files of one driver of the tests', which is not loaded.

    They are forks of the one without a driver, which other tests use too, instead of being booted.
    """

    def __init__(self, run_dir: Path) -> None:
        self.lab = Lab(settings.load().model_copy(update={"run_dir": run_dir}), lambda _: None)
        self.stack = ExitStack()
        self._bare = self.lab.prepare(Cell(KERNEL, arches.AMD64, ""))
        self._forks = Forks(self.lab)

    def machine(self) -> Fork:
        def made(machine: Machine) -> None:
            self.stack.callback(machine.end)

        return self._forks.start(self._bare, "test", made)

    def give(self, machine: Machine, driver: str, *artifact: str) -> DriverBuild:
        """Put into a machine what a boot would have given it for that driver."""
        lab = Lab(self.lab.settings.model_copy(update={"artifact": artifact}), lambda _: None)
        prepared = lab.prepare(Cell(KERNEL, arches.AMD64, request(driver)))
        assert prepared.driver is not None
        machine.run(["mkdir", "-p", f"{PAYLOAD}/driver"])
        for name, file in lab.payload(prepared).items():
            if name != "bin/lab-agent":
                machine.write(f"{PAYLOAD}/{name}", file.data)
                machine.run(["chmod", f"{file.mode:o}", f"{PAYLOAD}/{name}"])
        return prepared.driver

    def traced(self, machine: Machine) -> Deployment:
        """A driver that is right, loaded in a machine: what the bad consumers read."""
        return deploy(machine, self.give(machine, "kprobe:trace"))


def request(driver: str) -> str:
    name, _, mode = driver.partition(":")
    return f"{DRIVERS}/{name}/driver.toml:{mode}"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Afterwards nothing is left of the test's machines, and a good driver works in the next one."""
    bench = Bench(tmp_path)
    yield bench
    bench.stack.close()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    with bench.stack:
        machine = bench.machine()
        with Events(bench.traced(machine)).capture() as seen:
            machine.run(["cat", "/etc/hostname"])
        assert seen.all(type="openat", comm="cat", name="/etc/hostname")


def refusal(machine: Machine, build: DriverBuild, kind: type[LabError] = LoadError) -> str:
    """What is said when the driver is loaded: a sentence, what was quoted below it, and the next step."""
    with pytest.raises(kind) as caught:
        deploy(machine, build)
    assert caught.value.hint
    assert len(caught.value.what) < 4000
    return caught.value.what


def test_a_module_that_oopses_on_load_is_told_with_the_kernels_complaint(bench: Bench) -> None:
    machine = bench.machine()
    said = refusal(machine, bench.give(machine, "oopses:kmod"))
    assert said.startswith("oopses:kmod does not load on amd64: insmod /run/lab/driver/oopses.ko was ended by signal 9")
    complaint = said.partition("The kernel complained:\n")[2]
    assert complaint.startswith("  BUG: kernel NULL pointer dereference")
    assert "RIP: 0010:oopses_init" in complaint


def test_a_module_that_panics_its_guest_is_named_in_the_machines_last_words(bench: Bench) -> None:
    machine = bench.machine()
    said = refusal(machine, bench.give(machine, "panics:kmod"), MachineLostError)
    assert said.startswith(
        "panics:kmod does not load on amd64: the machine died: Kernel panic - not syncing: asked to panic\n"
    )


def test_a_module_for_another_kernel_is_refused_with_both_kernels_named(bench: Bench) -> None:
    lab, machine = bench.lab, bench.machine()
    other = lab.kernels.resolve("5.10", arches.AMD64).fetch()
    module = build_driver(find_driver(request("stays:kmod")), other, lab.store, lab.settings, lab.notice).module
    release = machine.run(["uname", "-r"]).text.strip()
    with pytest.raises(UnsupportedError) as caught:
        bench.give(machine, "stays:prebuilt", f"stays:prebuilt={module}")
    what = f"the module given to stays:prebuilt was built for kernel {other.release}, and the guest's is {release}"
    assert caught.value.what == f"{what}: {module}"


def test_a_module_that_the_kernel_refuses_is_told_with_its_reason_and_one_that_stays_with_the_commands(
    bench: Bench,
) -> None:
    machine = bench.machine()
    built = bench.give(machine, "stays:kmod").module
    assert built is not None
    prebuilt = bench.give(machine, "stays:prebuilt", f"stays:prebuilt={built}")
    machine.write("/run/lab/driver/stays.ko", built.read_bytes().replace(b" mod_unload ", b" mod_unloaf "))
    said = refusal(machine, prebuilt)
    assert "could not insert module /run/lab/driver/stays.ko: Invalid module format" in said
    assert f"version magic '{machine.run(['uname', '-r']).text.strip()} SMP" in said
    assert "mod_unloaf" in said
    machine.write("/run/lab/driver/stays.ko", built.read_bytes())
    deployment = deploy(machine, prebuilt)
    assert deployment.loaded()
    with pytest.raises(LoadError, match=r"stays:prebuilt cannot be unloaded on amd64: rmmod stays ended.*in use"):
        deployment.unload()
    assert deployment.loaded()


@pytest.mark.parametrize("mode", ["core", "legacy"])
def test_a_program_that_the_verifier_refuses_is_told_with_its_reason_and_not_its_log(bench: Bench, mode: str) -> None:
    machine = bench.machine()
    said = refusal(machine, bench.give(machine, f"refused:{mode}"))
    assert said.startswith(f"refused:{mode} does not load on amd64: ")
    assert "R0 invalid mem access 'map_value_or_null'\n" in said
    assert "R10=fp0\n" not in said
    assert len(said.splitlines()) < 14


WRONG = [
    ("dies", "{} ended: status 3: no such device"),
    ("garbage", "the adapter of bad-consumer:garbage cannot read b'garbage': it is no line of trace_pipe's"),
    ("long", "{} prints more than is read: the guest sent a line of more than 1 MiB"),
    ("silent", "{} reported nothing: no sentinel came from CPU 0, 1, after 0 events"),
]


@pytest.mark.parametrize(("mode", "why"), WRONG, ids=[mode for mode, _ in WRONG])
def test_a_consumer_that_is_wrong_from_the_start_is_told_by_what_it_does(bench: Bench, mode: str, why: str) -> None:
    machine = bench.machine()
    build = bench.give(machine, f"bad-consumer:{mode}")
    machine.run(["touch", "/run/lab/at-once"])
    said = refusal(machine, build)
    told = why.format(f"the consumer of bad-consumer:{mode}")
    assert said.partition("\n")[0] == f"bad-consumer:{mode} does not load on amd64: {told}"


LATER = [
    ("dies", "{} did not report the end of the capture: its consumer ended: status 3: no such device"),
    *WRONG[1:3],
    ("silent", "{} did not report the end of the capture: no sentinel came from CPU 0, 1, after "),
]


@pytest.mark.parametrize(("mode", "why"), LATER, ids=[mode for mode, _ in LATER])
def test_a_consumer_that_goes_wrong_in_a_capture_is_told_by_what_it_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mode: str, why: str
) -> None:
    machine = bench.machine()
    bench.traced(machine)
    deployment = deploy(machine, bench.give(machine, f"bad-consumer:{mode}"))
    monkeypatch.setattr("lab.drivers.capture._END_SILENCE", 0.5)
    with pytest.raises(ConsumerError) as caught, Events(deployment).capture() as seen:
        machine.run(["sh", "-c", "cat /lab-go-wrong"], check=False)
    whose = "the consumer of bad-consumer" if mode == "long" else "bad-consumer"
    assert caught.value.what.startswith(why.format(f"{whose}:{mode}"))
    assert caught.value.hint
    assert not seen.closed, "an incomplete capture answers nothing"


def test_a_consumer_that_does_not_end_is_told_and_not_waited_for_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.drivers.deploy._STOP_DEADLINE", 0.5)
    machine = bench.machine()
    deployment = deploy(machine, bench.give(machine, "bad-consumer:stays"))
    deployment.start_consumer()
    # It says so when it no longer minds being interrupted.
    assert machine.events.wait(lambda: machine.events.count() > 0, machine.scaled(5.0))
    with pytest.raises(ConsumerError, match="the consumer of bad-consumer:stays did not end when it was interrupted"):
        deployment.stop_consumer()
