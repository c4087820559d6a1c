"""Templates are made once, proved before they count, and made again when they fail; machines are fakes here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from lab.arches import AMD64
from lab.errors import LabError, LoadError, MachineLostError, NoSpaceError
from lab.machines.machine import Machine
from lab.machines.template import Template, TemplateError
from lab.matrix import forks as forks_module
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks, NoTemplateError
from lab.store import Store

CELL = Cell("6.12", AMD64, "")


class FakeFork:
    """A fork that starts when `failures` has nothing more for it."""

    failures: list[LabError]
    made: list[FakeFork]

    def __init__(self, template: Template, *_: object, **__: object) -> None:
        self.template = template
        self.ended = False
        self.made.append(self)

    def start(self) -> None:
        assert (self.template.folder / "state").exists()
        if self.failures:
            raise self.failures.pop(0)

    def run(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(status=0)

    def end(self) -> None:
        self.ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class World:
    """Forks on a store of the test's. `saves` counts machines that were saved; `broken` is what saving one raises."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.saves = 0
        self.broken: LabError | None = None
        self.fork = type("Fork", (FakeFork,), {"failures": [], "made": []})
        self.folder = folder
        self.prepared: Any = SimpleNamespace(cell=CELL, driver=None, qemu=None, versions=lambda: {"cell": CELL.slug})
        monkeypatch.setattr(forks_module, "Fork", self.fork)
        monkeypatch.setattr(Forks, "inputs", lambda *_: {"a": "cell"})
        monkeypatch.setattr(Forks, "_save", lambda _, __, folder: self._save(folder))

    def forks(self) -> Forks:
        lab: Any = SimpleNamespace(
            store=Store(self.folder / "store"),
            settings=SimpleNamespace(run_dir=self.folder),
            notice=self.told.append,
            spec=lambda _: None,
        )
        return Forks(lab)

    def start(self, forks: Forks | None = None) -> tuple[Any, list[Machine]]:
        made: list[Machine] = []
        return (forks or self.forks()).start(self.prepared, "test", made.append), made

    def _save(self, folder: Path) -> tuple[bool, int | None]:
        self.saves += 1
        if self.broken:
            raise self.broken
        (folder / "state").write_text("a state")
        return True, 5


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_template_is_made_and_proved_once_for_all_runs(world: World) -> None:
    first, _ = world.start()
    second, _ = world.start()
    assert world.saves == 1
    assert len(world.fork.made) == 3, "one proves the template"  # type: ignore[attr-defined]
    assert first.template == second.template
    assert (first.template.cut, first.template.clock) == (True, 5)
    assert world.told == ["saving a template of 6.12-amd64"]


def test_a_template_that_does_not_restore_is_made_again_and_the_run_says_so(world: World) -> None:
    world.fork.failures.append(TemplateError("it does not start"))  # type: ignore[attr-defined]
    world.start()
    assert world.saves == 2
    assert world.told[1] == "the template does not restore (it does not start): it is made again"


def test_a_guest_that_hangs_in_its_proof_is_no_template(world: World) -> None:
    world.fork.failures.append(MachineLostError("no answer"))  # type: ignore[attr-defined]
    world.start()
    assert world.saves == 2


def test_one_that_fails_twice_is_an_error_and_leaves_nothing(world: World) -> None:
    world.fork.failures += [TemplateError("it does not start")] * 2  # type: ignore[attr-defined]
    with pytest.raises(TemplateError, match=r"no template of 6\.12-amd64 restores: it does not start"):
        world.start()
    assert all(fork.ended for fork in world.fork.made)  # type: ignore[attr-defined]
    assert not list((world.folder / "store" / "entries").glob("template/*"))


def test_a_kept_template_that_no_longer_restores_is_made_again_once(world: World) -> None:
    world.start()
    world.fork.failures.append(TemplateError("template x cannot be restored"))  # type: ignore[attr-defined]
    fork, made = world.start()
    assert world.saves == 2
    assert made[-1] is fork
    assert [machine.ended for machine in made] == [True, False]  # type: ignore[attr-defined]
    assert world.told[1] == "template x cannot be restored: it is made again"


def test_one_that_another_run_made_again_meanwhile_is_kept(world: World) -> None:
    late, early = world.forks(), world.forks()
    world.start(late)
    for forks in (early, late):
        world.fork.failures.append(TemplateError("it cannot be restored"))  # type: ignore[attr-defined]
        world.start(forks)
    assert world.saves == 2, "once for each run that met it"


def test_a_lost_machine_is_not_its_templates_fault(world: World) -> None:
    world.start()
    world.fork.failures.append(MachineLostError("the guest hangs"))  # type: ignore[attr-defined]
    with pytest.raises(MachineLostError, match="the guest hangs"):
        world.start()
    assert world.saves == 1


@pytest.mark.parametrize("error", [MachineLostError("it panicked"), LoadError("it does not load")])
def test_a_cell_that_cannot_be_made_ready_is_tried_once(world: World, error: LabError) -> None:
    world.broken = error
    forks = world.forks()
    for _ in range(2):
        with pytest.raises(NoTemplateError, match=rf"no template of 6\.12-amd64: {error.what}"):
            world.start(forks)
    assert world.saves == 1


def test_a_full_disk_is_said_as_such(world: World) -> None:
    world.broken = NoSpaceError("no space left")
    with pytest.raises(NoSpaceError):
        world.start()
