"""Templates in the store: two runs that need the same, and those of another QEMU."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lab import arches
from lab.machines import qemu as qemus
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.machines.qemu import Qemu, own_qemu
from lab.machines.template import KIND
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared
from lab.store import Store, content_digest
from tests.support.runs import Place
from tests.support.shelves import flaws, make_shelf, templates

ONE = "scenarios/capture/test_open.py::test_an_open_of_a_missing_file_is_reported_with_its_error"


@pytest.mark.slow
def test_two_runs_at_once_make_a_template_once(lab: Lab, tmp_path: Path) -> None:
    lab.prepare(Cell(lab.settings.kernel, arches.AMD64, "falco:kmod"))
    store = make_shelf(tmp_path / "store", lab.store, lab.store.used())
    mine = {"LAB_STORE": str(store), "LAB_OFFLINE": "1"}
    places = [Place(tmp_path / name, mine) for name in ("first", "second")]
    for place in places:
        place.root.mkdir()
    with places[0].start(places[0].pytest(ONE)) as first, places[1].start(places[1].pytest(ONE)) as second:
        outputs = [run.communicate(timeout=300)[0] for run in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert [output.count("saving a template of") for output in outputs] in ([0, 1], [1, 0]), outputs
    assert len(templates(store)) == 1
    assert flaws(store) == []
    assert [place.folders() for place in places] == [[], []]


@pytest.fixture(scope="module")
def other_qemu(lab: Lab) -> Qemu:
    """A QEMU of another version: forky's, which the lab's own must not take for its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qemus, "_SUITE", "forky")
        made = own_qemu(arches.AMD64, lab.store, lab.settings, lambda _: None)
    assert made.version != own_qemu(arches.AMD64, lab.store, lab.settings, lambda _: None).version
    return made


@pytest.mark.slow
def test_a_template_of_another_qemu_is_not_taken_and_if_it_is_forged_made_again(
    lab: Lab, bare: Prepared, other_qemu: Qemu, tmp_path: Path
) -> None:
    told: list[str] = []
    own = Lab(lab.settings, told.append)
    own.store = Store(tmp_path / "store", notice=told.append)
    saving = f"saving a template of {bare.cell.slug}"
    theirs = Forks(own).template(replace(bare, qemu=other_qemu))
    assert told == [saving]
    ours = Forks(own).template(bare)
    assert told == [saving, saving], "another QEMU's template was taken"
    assert ours.key != theirs.key
    forge(tmp_path / "store", theirs.key, ours.key)
    with ExitStack() as stack:
        fork = start(Forks(own), bare, stack)
        assert fork.run(["echo", "alive"]).text == "alive\n"
    assert told[2].startswith(f"template {ours.key} cannot be restored: ")
    assert told[2].endswith(": it is made again")
    assert told[3:] == [saving]
    assert flaws(tmp_path / "store") == []


def start(forks: Forks, prepared: Prepared, stack: ExitStack) -> Fork:
    def made(machine: Machine) -> None:
        stack.callback(machine.end)

    return forks.start(prepared, "test", made)


def forge(store: Path, source: str, target: str) -> None:
    """Put one template's files where another's are, as if they had been made for it."""
    source_place, place = (store / "entries" / KIND / key for key in (source, target))
    shutil.rmtree(place / "files")
    (source_place / "files").rename(place / "files")
    shutil.rmtree(source_place)
    record = place / "entry.json"
    made = json.loads(record.read_bytes())
    record.write_text(json.dumps({**made, "content": content_digest(place / "files")}))
