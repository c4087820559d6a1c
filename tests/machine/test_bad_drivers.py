"""Drivers and consumers that are wrong, in real machines: each is told in a sentence that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lab import arches
from lab.drivers.build import DriverBuild, build_driver
from lab.drivers.deploy import Deployment, deploy
from lab.drivers.manifest import find_driver
from lab.errors import ConsumerError, LoadError
from lab.machines.machine import Machine
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from tests.support.runs import DRIVERS

Booted = Callable[[str], tuple[Machine, DriverBuild]]


@pytest.fixture
def booted(lab: Lab) -> Iterator[Booted]:
    """Boots a machine of the default kernel for a driver of the tests', which is not loaded yet."""
    with ExitStack() as stack:

        def boot(driver: str) -> tuple[Machine, DriverBuild]:
            name, _, mode = driver.partition(":")
            prepared = lab.prepare(Cell(lab.settings.kernel, arches.AMD64, f"{DRIVERS}/{name}/driver.toml:{mode}"))
            assert prepared.driver is not None
            machine = stack.enter_context(lab.machine(prepared, "test"))
            machine.start()
            return machine, prepared.driver

        yield boot


def refusal(machine: Machine, build: DriverBuild) -> str:
    with pytest.raises(LoadError) as caught:
        deploy(machine, build)
    return caught.value.what


def test_a_module_that_oopses_on_load_is_told_with_the_kernels_complaint(booted: Booted) -> None:
    said = refusal(*booted("oopses:kmod"))
    assert "oopses:kmod does not load on amd64" in said
    assert "The kernel complained: BUG: kernel NULL pointer dereference" in said


def test_a_module_that_cannot_be_unloaded_is_told_with_the_commands_words(booted: Booted) -> None:
    deployment = deploy(*booted("stays:kmod"))
    assert deployment.loaded()
    with pytest.raises(LoadError, match=r"stays:kmod cannot be unloaded.*rmmod stays.*in use"):
        deployment.unload()
    assert deployment.loaded()


def test_a_module_for_another_kernel_is_told_with_both_kernels(lab: Lab, booted: Booted) -> None:
    machine, build = booted("stays:kmod")
    other = lab.kernels.resolve("5.10", arches.AMD64).fetch()
    path = build_driver(
        find_driver(f"{DRIVERS}/stays/driver.toml:kmod"), other, lab.store, lab.settings, lab.notice
    ).module
    assert path is not None
    machine.write("/run/lab/driver/stays.ko", path.read_bytes())
    said = refusal(machine, build)
    assert f"version magic '{other.release}" in said
    assert "Invalid module format" in said


@pytest.mark.parametrize("mode", ["core", "legacy"])
def test_a_program_that_the_verifier_refuses_is_told_with_its_reason_and_not_its_log(booted: Booted, mode: str) -> None:
    said = refusal(*booted(f"refused:{mode}"))
    assert f"refused:{mode} does not load on amd64" in said
    assert "invalid mem access 'map_value_or_null'" in said
    assert "R10=fp0\n" not in said
    assert len(said) < 4000


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("dies", "the consumer of bad-consumer:dies ended: status 3: no such device"),
        ("silent", "the consumer of bad-consumer:silent reported nothing: no sentinel came from CPU 0, 1"),
        ("garbage", "the adapter of bad-consumer:garbage cannot read b'garbage'"),
        ("long", "the guest sent a line of more than 1 MiB"),
    ],
)
def test_a_consumer_that_does_not_report_is_told_by_what_it_does(booted: Booted, mode: str, why: str) -> None:
    assert why in refusal(*booted(f"bad-consumer:{mode}"))


def test_a_consumer_that_does_not_end_is_told_and_not_waited_for_for_ever(
    booted: Booted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.drivers.deploy._STOP_DEADLINE", 0.5)
    deployment: Deployment = deploy(*booted("bad-consumer:stays"))
    deployment.start_consumer()
    with pytest.raises(ConsumerError, match="the consumer of bad-consumer:stays did not end when it was interrupted"):
        deployment.stop_consumer()
