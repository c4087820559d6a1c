"""The store's disk is full when a machine is to be saved, or gets full meanwhile, really: a small tmpfs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from lab import arches
from lab.errors import ExitCode
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab
from tests.support import traces
from tests.support.namespaces import with_small_disk
from tests.support.runs import LAB, Place
from tests.support.shelves import make_shelf

ONE = "scenarios/capture/test_open.py::test_an_open_of_a_missing_file_is_reported_with_its_error"
# $store: with the small disk on it; $made: the same as it was made; $said: where the steps' outputs go.
BEGINNING = """
store=$1 made=$2 said=$3 lab=$4 run=$5 full=$6
cp -a "$made/." "$store/"
step() { sh -c "$2" >"$said/$1" 2>&1; echo $? >"$said/$1.status"; }
left() { find "$store/tmp" "$store/entries/template" -mindepth 1 >"$said/left" 2>/dev/null; }
"""
TOO_SMALL = """
step full "$full"
step command "$lab run -- true"
left
mount -o remount,size=2g "$store"
step room "$run"
"""
# Filled as soon as the guest runs: what it writes while it comes up has no room but what its memory was given before.
FILLED = """
fill() {
    until [ -e "$LAB_RUN_DIR"/*/record.json ] || [ -e "$said/full.status" ]; do sleep 0.02; done
    dd if=/dev/zero of="$store/filler" bs=1M
}
fill >"$said/fill" 2>&1 &
step full "$full"
wait
left
rm "$store/filler"
step room "$run"
"""
# A plugin for pytest: the memory's room is not given back before the machine's state is written.
KEEPING = """
def pytest_sessionstart():
    from lab import sparse
    sparse.release = lambda path: None
"""


class Steps(Place):
    """Runs on a store whose disk is small, and what each of them said."""

    def through(self, script: str, size: str, plugin: str = "") -> None:
        """Run the steps; `plugin` is one that pytest has in the step "full"."""
        store, said = self.root / "store", self.root / "said"
        said.mkdir()
        run = self.pytest(ONE, "--driver", "falco:kmod")
        full = [*run, "-p", "own_plugin"] if plugin else run
        (self.root / "own_plugin.py").write_text(plugin)
        words = [str(store), str(self.root / "made"), str(said), *map(shlex.join, (LAB, run, full))]
        done = self.run(with_small_disk(store, f"size={size}", ["sh", "-c", BEGINNING + script, "sh", *words]))
        assert done.returncode == 0, done.stdout

    def said(self, step: str) -> str:
        return (self.root / "said" / step).read_text()

    def status(self, step: str) -> int:
        return int(self.said(f"{step}.status"))


@pytest.fixture
def steps(lab: Lab, tmp_path: Path) -> Steps:
    # With the driver for pytest, without one for `lab run`.
    for driver in ("falco:kmod", ""):
        lab.prepare(Cell(lab.settings.kernel, arches.AMD64, driver))
    store = tmp_path / "store"
    # Made where it is used, and then put aside: what is known of its files goes by their paths.
    make_shelf(store, lab.store, lab.store.used()).rename(tmp_path / "made")
    store.mkdir()
    mine = {"LAB_STORE": str(store), "LAB_OFFLINE": "1", "LAB_MIN_FREE_MIB": "0", "PYTHONPATH": str(tmp_path)}
    return Steps(tmp_path, mine)


def demand_nothing_lost(steps: Steps) -> None:
    """The run with the full disk left nothing, and the one with room is green."""
    assert steps.status("full") == pytest.ExitCode.TESTS_FAILED
    assert "1 error" in steps.said("full")
    assert "Next: lab gc lists what can go; or set LAB_STORE to another disk" in steps.said("full")
    assert "Traceback" not in steps.said("full")
    assert steps.said("left") == ""
    assert steps.status("room") == 0, steps.said("room")
    assert "1 passed" in steps.said("room")
    assert traces.processes(steps.machines) == []
    assert steps.folders() == []


def test_a_disk_without_room_for_a_template_is_one_sentence(steps: Steps) -> None:
    steps.through(TOO_SMALL, "400m")
    assert "MiB are free at" in steps.said("full")
    assert "and a machine's memory of 768 MiB is to be kept there" in steps.said("full")
    assert "and a machine's memory of 768 MiB is to be kept there" in steps.said("command")
    assert steps.status("command") == ExitCode.RUN_FAILED
    demand_nothing_lost(steps)


@pytest.mark.slow
def test_a_machine_has_room_to_be_saved_on_a_disk_that_gets_full_while_it_comes_up(steps: Steps) -> None:
    steps.through(FILLED, "900m")
    assert "No space left on device" in steps.said("fill"), "the disk was not filled"
    assert steps.status("full") == 0, steps.said("full")
    assert "1 passed" in steps.said("full")
    assert "saving a template" in steps.said("full")
    assert "booted" not in steps.said("full"), "the guest died of the full disk"
    assert "saving a template" not in steps.said("room"), "the template is not kept"


@pytest.mark.slow
def test_a_disk_that_is_full_when_a_machines_state_is_written_is_one_sentence(steps: Steps) -> None:
    steps.through(FILLED, "900m", KEEPING)
    assert "No space left on device" in steps.said("fill"), "the disk was not filled"
    assert "no space left at" in steps.said("full")
    assert "to save a machine" in steps.said("full")
    assert "booted" not in steps.said("full"), "the guest died of the full disk"
    demand_nothing_lost(steps)
