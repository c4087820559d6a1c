"""The lab's own driver on a kernel that notices more: right it is clean there, built wrong it is found out."""

from __future__ import annotations

import pytest

from lab.arches import Arch
from lab.matrix.provision import Lab
from tests.support.debugkernels import EVERYTHING, Ran, built
from tests.support.runs import Place

ORDINARY = ("scenarios/capture", "scenarios/survival", "--profile", "smoke")
UNLOADED = """
import pytest
from lab.scenario import answered

@pytest.mark.controls(answered("kmemleak.leaks", ["9 bytes"], word="9 bytes"))
def test_unloaded_it_leaves_no_memory(machine, driver, kmemleak):
    driver.unload()
    leaks = kmemleak.leaks()
    assert not leaks, f"it left {[str(leak) for leak in leaks]}"
"""
OPENED = """
import pytest
from lab.scenario import logged

CONTROL = pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))

@CONTROL
def test_1_an_open_is_harmless(machine, printk):
    machine.run(["cat", "/tap-sleep"], check=False)
    assert printk.splats() == []

@CONTROL
def test_2_the_next_is_green(machine, printk):
    machine.run(["cat", "/etc/hostname"])
    assert printk.splats() == []
"""


@pytest.fixture
def everything(lab: Lab, arch: Arch) -> tuple[str, ...]:
    return ("--kernel", built(lab, EVERYTHING, arch), "--arch", arch.name)


def own(place: Place, text: str) -> str:
    path = place.root / "test_own.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("mode", ["kmod", "modern-bpf"])
def test_built_right_it_passes_the_ordinary_scenarios(place: Place, everything: tuple[str, ...], mode: str) -> None:
    ran = Ran(place, *ORDINARY, *everything, "--driver", f"tap:{mode}")
    if mode != "kmod":
        assert ran.verdicts.pop("test_it_is_not_taken_out_while_it_is_read") == "unsupported", "that is of modules"
    assert len(ran.verdicts) > 8, ran.said
    assert set(ran.verdicts.values()) == {"passed"}, ran.said


def test_built_right_it_leaves_no_memory_and_sleeps_nowhere(place: Place, everything: tuple[str, ...]) -> None:
    ran = Ran(place, own(place, UNLOADED + OPENED), *everything, "--driver", "tap:kmod")
    assert len(ran.verdicts) == 3, ran.said
    assert set(ran.verdicts.values()) == {"passed"}, ran.said


def test_one_that_leaks_when_it_is_unloaded_is_found_and_its_function_named(
    place: Place, everything: tuple[str, ...]
) -> None:
    ran = Ran(place, own(place, UNLOADED), *everything, "--driver", "tap+leak:kmod")
    assert ran.verdicts == {"test_unloaded_it_leaves_no_memory": "failed"}, ran.said
    assert ran.splats("test_unloaded")[0]["kind"] == "leaked objects", ran.said
    # The kernel itself has forgotten the module's functions by then.
    assert "allocated in tap_slots_" in ran.said, ran.said


def test_one_that_sleeps_in_atomic_context_is_found(place: Place, everything: tuple[str, ...], arch: Arch) -> None:
    ran = Ran(place, own(place, OPENED), *everything, "--driver", "tap+sleep:kmod")
    # arm64's kernel cannot go on: its count of what forbids preemption is below zero then.
    ends = {"failed", "lost"} if arch.name == "arm64" else {"failed"}
    assert ran.verdicts.pop("test_1_an_open_is_harmless") in ends, ran.said
    assert ran.verdicts == {"test_2_the_next_is_green": "passed"}, ran.said
    # RCU and the scheduler complain of it as well, afterwards.
    first = ran.splats("test_1")[0]
    assert first["kind"] in ("scheduling while atomic", "sleeping in atomic context"), first
    assert first["culprit"]["module"] == "tap", first
