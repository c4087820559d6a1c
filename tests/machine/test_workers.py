"""Whole runs on two workers: the same as on one process, one template, and what is left when somebody is killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import arches
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from tests.support.runs import Place, until
from tests.support.wait import gone

DRIVER = "falco:kmod"
# One scenario waits, having said whose it is: the worker's process and its machine's folder are known then.
SCENARIOS = """
import json, os
import pytest
from lab.scenario import logged

proved = pytest.mark.controls(logged("WARNING: CPU: 0 PID: 1 at made/up.c:1 f+0x0"))

@proved
def test_waits(machine, printk):
    with open("{marker}.part", "w") as stream:
        stream.write(str(os.getpid()))
    os.rename("{marker}.part", "{marker}")
    machine.run(["sleep", "1000"], deadline=100)

@proved
@pytest.mark.parametrize("number", [1, 2, 3])
def test_goes_on(machine, printk, number):
    assert machine.run(["echo", str(number)]).text == f"{{number}}\\n"
    assert printk.splats() == []
"""
ENDS = 120.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.folders() == [], "a machine's folder stayed"


def scenarios(place: Place) -> tuple[str, Path]:
    """A file of scenarios, and the file that one of them makes when it waits."""
    marker = place.root / "waiting"
    path = place.root / "test_own.py"
    path.write_text(SCENARIOS.format(marker=marker))
    return str(path), marker


def summary(output: str) -> list[str]:
    """What stands under "verdicts", without the time that it took."""
    lines = output.partition(" verdicts ")[2].splitlines()[1:]
    return [line for line in lines if line and " in " not in line]


def machine_of(place: Place, worker: int) -> int:
    """The process of the machine that a worker has."""
    for record in place.machines.glob("*/record.json"):
        pid = int(record.read_text().partition('"pid": ')[2].partition(",")[0])
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == str(worker):
            return pid
    raise AssertionError("the worker has no machine")


@pytest.mark.slow
def test_two_workers_find_what_one_process_finds(place: Place) -> None:
    one, two = (
        place.run(place.pytest("scenarios/capture", "--profile", "smoke", "-n", number, "-v")) for number in ("0", "2")
    )
    assert (one.returncode, two.returncode) == (0, 0), two.stdout
    assert summary(two.stdout) == summary(one.stdout)
    assert "[gw0]" in two.stdout
    assert "[gw1]" in two.stdout


@pytest.mark.slow
def test_a_template_is_made_once_and_told_once(place: Place, lab: Lab) -> None:
    lab.prepare(Cell(lab.settings.kernel, arches.host(), DRIVER))
    # All of the user's store but its templates.
    store = place.root / "store"
    (store / "entries").mkdir(parents=True)
    kinds = [path.relative_to(lab.store.root) for path in (lab.store.root / "entries").iterdir()]
    for name in [Path("state"), Path("locks"), *kinds]:
        if name.name != "template":
            (store / name).symlink_to(lab.store.root / name)
    alone = Place(place.root, {"LAB_STORE": str(store)})
    path, _ = scenarios(place)
    done = alone.run(alone.pytest(path, "-n", "2", "-v", "-k", "goes_on"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("lab: saving a template of") == 1
    assert len(list((store / "entries" / "template").iterdir())) == 1
    assert "[gw0]" in done.stdout
    assert "[gw1]" in done.stdout
    shutil.rmtree(store / "entries" / "template")


def test_a_worker_that_is_killed_takes_its_machine_along_and_loses_its_scenario_only(place: Place) -> None:
    path, marker = scenarios(place)
    run = place.start(place.pytest(path, "-n", "2"))
    with run:
        until(marker.exists, ENDS)
        worker = int(marker.read_text())
        machine = machine_of(place, worker)
        os.kill(worker, signal.SIGKILL)
        output, _ = run.communicate(timeout=ENDS)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, output
    assert gone(machine)
    assert "3 passed, 1 lost" in output
    assert "its worker died (gw" in output


def test_ctrl_c_ends_workers_and_machines_and_tells_what_is_missing(place: Place) -> None:
    path, marker = scenarios(place)
    run = place.start(place.pytest(path, "-n", "2"))
    with run:
        until(marker.exists, ENDS)
        worker = int(marker.read_text())
        machine = machine_of(place, worker)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=ENDS)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    assert gone(worker)
    assert gone(machine)
    assert "missing: " in output


def test_workers_and_machines_end_when_their_controller_is_killed(place: Place) -> None:
    path, marker = scenarios(place)
    run = place.start(place.pytest(path, "-n", "2"))
    with run:
        until(marker.exists, ENDS)
        worker = int(marker.read_text())
        machine = machine_of(place, worker)
        run.kill()
        run.wait(30)
    until(lambda: gone(worker) and gone(machine), ENDS)
    until(lambda: place.folders() == [], ENDS)
