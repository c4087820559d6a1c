"""What only kernels for debugging notice: found under its kind, with the module's function and the line, put on its
scenario, and the next one is green."""

from __future__ import annotations

import pytest

from lab.arches import Arch
from lab.matrix.provision import Lab
from tests.support.debugkernels import EVERYTHING, Ran, built
from tests.support.misbehaving import DRIVER, HIDDEN_DEEDS
from tests.support.runs import Place

HEAD = """
import pytest
from lab.scenario import answered, logged

CONTROL = pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))
NOW = "/sys/module/misbehaves/parameters/now"

def deed(machine, word):
    return machine.run(["sh", "-c", f"echo {word} >{NOW}"], check=False)
"""
PAIR = """
@CONTROL
def test_{number}_{name}_fails(machine, printk{more}):
    deed(machine, "{word}")
    {ask}

@CONTROL
def test_{number}_the_next_is_green(machine, printk{more}):
    assert machine.run(["true"]).status == 0
    {ask}
    assert printk.splats() == []
"""
LEAKS = """
@pytest.mark.controls(answered("kmemleak.leaks", [], word="do_lose"))
def test_leaks_are_objects(machine, kmemleak):
    deed(machine, "lose")
    leaks = kmemleak.leaks()
    functions = {leak.details.culprit.function for leak in leaks if leak.details.culprit}
    assert "do_lose" in functions, f"no do_lose among {functions}"
    # What kmalloc makes of 60 bytes.
    assert {leak.size for leak in leaks} <= {64, 128}, {leak.size for leak in leaks}
    assert {leak.details.comm for leak in leaks} == {"sh"}
"""
FAULTS = """
@pytest.mark.controls(answered("faults.injected", [], word="failslab"))
def test_an_allocation_of_the_drivers_fails_when_asked_and_only_then(machine, faults, printk):
    assert deed(machine, "allocate").status == 0
    faults.allocations("misbehaves")
    assert deed(machine, "allocate").status != 0, "it did not fail"
    assert deed(machine, "allocate").status == 0, "more than one failed"
    seen = [(fault.what, fault.details.culprit.function, fault.details.comm) for fault in faults.injected()]
    assert seen == [("failslab", "do_allocate", "sh")], f"not failslab in do_allocate alone: {seen}"
    assert printk.splats() == []

@pytest.mark.controls(answered("faults.injected", [], word="fail_function"))
def test_a_function_of_the_drivers_fails_when_asked(machine, faults, printk):
    faults.function("asked", -5, times=2)
    assert deed(machine, "ask").status != 0, "it did not fail"
    faults.stop()
    assert deed(machine, "ask").status == 0, "it was not stopped"
    seen = [fault.what for fault in faults.injected()]
    assert seen == ["fail_function"], f"not fail_function once: {seen}"
    assert printk.splats() == []
"""


@pytest.fixture
def everything(lab: Lab, arch: Arch) -> tuple[str, ...]:
    """Arguments of a run of the test module on the kernel with all detectors."""
    return ("--kernel", built(lab, EVERYTHING, arch), "--arch", arch.name, "--driver", DRIVER)


def scenarios(place: Place, text: str) -> str:
    path = place.root / "test_own.py"
    path.write_text(HEAD + text)
    return str(path)


def test_each_is_found_with_its_culprit_and_the_next_scenario_is_green(
    place: Place, everything: tuple[str, ...]
) -> None:
    pairs = ""
    for number, deed in enumerate(HIDDEN_DEEDS):
        leaks = deed.word == "lose"
        ask, more = ("kmemleak.leaks()", ", kmemleak") if leaks else ("pass", "")
        name = deed.word.replace("-", "_")
        pairs += PAIR.format(number=number, name=name, word=deed.word, ask=ask, more=more)
    ran = Ran(place, scenarios(place, pairs), *everything)
    for number, deed in enumerate(HIDDEN_DEEDS):
        name = f"test_{number}_{deed.word.replace('-', '_')}_fails"
        assert ran.verdicts[name] == "failed", ran.said
        assert ran.verdicts[f"test_{number}_the_next_is_green"] == "passed", ran.said
        first = ran.splats(name)[0]
        assert first["kind"] == deed.kind, first
        culprit = first["culprit"]
        assert (culprit["function"], culprit["module"]) == (deed.function, "misbehaves"), first
        assert culprit["source"].startswith("misbehaves.c:"), first


def test_leaks_are_objects_with_size_task_and_function(place: Place, everything: tuple[str, ...]) -> None:
    ran = Ran(place, scenarios(place, LEAKS), *everything)
    # What leaked is put on the scenario whatever it asserts.
    assert ran.verdicts == {"test_leaks_are_objects": "failed"}, ran.said
    assert "leaked objects: kmemleak: unreferenced object" in ran.said, ran.said
    assert "AssertionError" not in ran.said, ran.said


def test_failures_come_when_they_are_asked_for_and_are_seen(place: Place, everything: tuple[str, ...]) -> None:
    ran = Ran(place, scenarios(place, FAULTS), *everything)
    assert set(ran.verdicts.values()) == {"passed"}, ran.said
    assert len(ran.verdicts) == 2, ran.said


def test_kernels_without_them_make_scenarios_unsupported_and_name_one_that_has_them(place: Place, lab: Lab) -> None:
    arguments = ("--kernel", lab.settings.kernel, "--arch", "amd64", "--driver", DRIVER)
    ran = Ran(place, scenarios(place, LEAKS + FAULTS), *arguments, "--allow-unsupported")
    assert set(ran.verdicts.values()) == {"unsupported"}, ran.said
    assert "lacks CONFIG_DEBUG_KMEMLEAK; build:6.12+kmemleak has it" in ran.said
    assert "lacks CONFIG_FAILSLAB; build:6.12+fault has it" in ran.said
