"""The kernel's own debugger, entered in every way: by SysRq, by a breakpoint in the driver, by the driver's oops."""

from __future__ import annotations

from lab.arches import Arch
from lab.matrix.provision import Lab
from tests.support.debugkernels import KGDB, Ran, built
from tests.support.misbehaving import DRIVER
from tests.support.runs import Place

SCENARIOS = """
import pytest
from lab.scenario import answered, logged

CONTROL = pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))

def soon(machine, word):
    # Whoever brings the kernel into kdb does not return: another process does it.
    now = "/sys/module/misbehaves/parameters/now"
    machine.run(["sh", "-c", f"(sleep 0.3; echo {word} >{now}) >/dev/null 2>&1 &"])

@pytest.mark.controls(answered("kgdb.tasks", [], word="trace_pipe reader"))
def test_1_by_sysrq(machine, kgdb, printk):
    kgdb.enter()
    names = {task.comm for task in kgdb.tasks()}
    assert "cat" in names, f"no trace_pipe reader among {names}"
    assert "kgdb_breakpoint" in kgdb.backtrace()
    assert "misbehaves" in kgdb.command("lsmod")
    kgdb.go()
    assert machine.run(["echo", "alive"]).text == "alive\\n"
    assert printk.splats() == []

@pytest.mark.controls(answered("kgdb.wait", "", word="Breakpoint"))
def test_2_by_a_breakpoint_in_the_driver(machine, kgdb, printk):
    kgdb.enter()
    kgdb.breakpoint("do_ask")
    kgdb.go()
    soon(machine, "ask")
    why = kgdb.wait()
    assert "Breakpoint" in why, f"not Breakpoint: {why}"
    # Not its caller: at a function's first instruction arm64's frames do not have it yet.
    assert "do_ask" in kgdb.backtrace()
    kgdb.command("bc *")
    kgdb.go()
    assert machine.run(["echo", "alive"]).text == "alive\\n"
    assert printk.splats() == []

@pytest.mark.controls(answered("kgdb.wait", "", word="Oops"))
def test_3_by_an_oops_of_the_driver(machine, kgdb):
    soon(machine, "oops")
    why = kgdb.wait()
    assert "Oops" in why, f"not Oops: {why}"
    assert "do_oops" in kgdb.backtrace()
    kgdb.go()
    assert machine.run(["echo", "alive"]).text == "alive\\n"

@CONTROL
def test_4_the_next_is_green(machine, printk):
    assert machine.run(["true"]).status == 0
    assert printk.splats() == []

@pytest.mark.controls(answered("kgdb.wait", "", word="Oops"))
def test_5_that_leaves_an_oops_in_kdb(machine, kgdb):
    soon(machine, "oops")
    why = kgdb.wait()
    assert "Oops" not in why, f"Oops: {why}"
"""


def test_it_is_entered_in_every_way_and_an_oops_in_it_is_its_scenarios(lab: Lab, arch: Arch, place: Place) -> None:
    path = place.root / "test_own.py"
    path.write_text(SCENARIOS)
    ran = Ran(place, str(path), "--kernel", built(lab, KGDB, arch), "--arch", arch.name, "--driver", DRIVER)
    assert ran.verdicts == {
        "test_1_by_sysrq": "passed",
        "test_2_by_a_breakpoint_in_the_driver": "passed",
        "test_3_by_an_oops_of_the_driver": "failed",
        "test_4_the_next_is_green": "passed",
        "test_5_that_leaves_an_oops_in_kdb": "failed",
    }, ran.said
    for scenario in ("test_3_by_an_oops_of_the_driver", "test_5_that_leaves_an_oops_in_kdb"):
        first = ran.splats(scenario)[0]
        assert first["kind"] == "oops", first
        assert first["culprit"]["function"] == "do_oops", first
    assert "kernel complained (oops" in ran.said
