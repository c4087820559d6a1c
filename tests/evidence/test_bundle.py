"""A bundle holds what was known of a failure, whatever of its machine is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import CommandTimeoutError, MachineLostError
from lab.evidence.asking import Asking
from lab.evidence.bundle import Failure, write_bundle
from lab.machines.machine import Machine
from tests.support.fakelab import EVENT, SPLAT, FakeMachine


def failure(**changed: Any) -> Failure:
    values: dict[str, Any] = {
        "name": "scenarios/test_open.py::test_it[6.12-amd64-falco:kmod]",
        "verdict": "failed",
        "message": "no event with type='openat'\nand more",
        "rerun": "pytest scenarios/test_open.py::test_it --kernel 6.12",
        "versions": {"kernel": {"release": "6.12", "image": Path("/x")}},
        "captures": [],
        "log": None,
    }
    return Failure(**{**values, **changed})


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    folder = tmp_path / "machine"
    folder.mkdir()
    (folder / "console.log").write_text("console")
    (folder / "qemu.log").write_text("qemu says")
    return FakeMachine(folder)


def write(folder: Path, failed: Failure, machine: FakeMachine | None = None) -> dict[str, str]:
    """The bundle's files by name."""
    place = write_bundle(folder / "run", failed, cast(Machine | None, machine))
    assert place.parent == folder / "run"
    return {path.name: path.read_text() for path in place.iterdir()}


def test_without_a_machine_there_is_what_is_known(tmp_path: Path) -> None:
    files = write(tmp_path, failure())
    assert set(files) == {"failure.txt", "versions.json", "rerun", "README"}
    assert files["failure.txt"].startswith("failed\n\nno event with")
    assert json.loads(files["versions.json"])["kernel"]["release"] == "6.12"
    assert files["rerun"] == "pytest scenarios/test_open.py::test_it --kernel 6.12\n"


def test_the_readme_names_the_failure_the_command_and_the_files(tmp_path: Path) -> None:
    readme = write(tmp_path, failure())["README"]
    assert "test_it[6.12-amd64-falco:kmod]" in readme
    assert "Verdict: failed. no event with type='openat'\n" in readme
    assert "  pytest scenarios/test_open.py::test_it --kernel 6.12\n" in readme
    assert "failure.txt, rerun, versions.json" in readme


def test_every_capture_is_a_file_of_lines(tmp_path: Path) -> None:
    files = write(tmp_path, failure(captures=[[EVENT, EVENT], []]))
    assert [json.loads(line)["type"] for line in files["events-1.jsonl"].splitlines()] == ["openat", "openat"]
    assert files["events-2.jsonl"] == ""


def test_a_builds_log_is_kept_and_one_that_is_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("error: x")
    assert write(tmp_path, failure(log=tmp_path / "log"))["build.log"] == "error: x"
    assert "build.log" not in write(tmp_path / "other", failure(log=tmp_path / "gone"))


def test_a_living_machine_gives_its_console_command_and_kernel_log(tmp_path: Path, machine: FakeMachine) -> None:
    files = write(tmp_path, failure(), machine)
    assert files["console.log"] == "console"
    assert files["qemu.log"] == "qemu says"
    assert files["qemu-command"] == "qemu\n"
    assert files["kernel.log"] == "dmesg --raw"
    assert files["registers.txt"] == "QEMU no longer runs.\n"


def test_a_dead_machine_gives_what_its_folder_still_has(tmp_path: Path, machine: FakeMachine) -> None:
    machine.dead = True
    files = write(tmp_path, failure(), machine)
    assert "no longer answers" in files["kernel.log"]
    assert files["console.log"] == "console"


def test_a_machine_that_dies_while_it_is_asked_leaves_a_bundle(
    tmp_path: Path, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: object, **__: object) -> None:
        raise MachineLostError("the machine died")

    monkeypatch.setattr(machine, "run", dying)
    monkeypatch.setattr(machine, "answers_monitor", lambda: True)
    monkeypatch.setattr(machine, "registers", dying, raising=False)
    files = write(tmp_path, failure(), machine)
    assert "no longer answers" in files["kernel.log"]
    assert files["registers.txt"] == "QEMU no longer runs.\n"


def test_a_guest_that_hangs_is_asked_once(
    tmp_path: Path, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def hanging(*_: object, deadline: float, **__: object) -> None:
        asked.append(deadline)
        raise CommandTimeoutError("it did not end")

    monkeypatch.setattr(machine, "run", hanging)
    files = write(tmp_path, failure(verdict="lost"), machine)
    assert asked == [1.0]
    assert "no longer answers: it did not end" in files["kernel.log"]
    assert "no longer answers" in files["modules.txt"]
    assert "no longer answers" in json.loads(files["bpf.json"])["prog"]


def test_all_questions_together_have_an_end(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("lab.evidence.asking.time.monotonic", lambda: now[0])
    asking = Asking(cast(Machine, machine))
    assert asking.ask(["first"]) is not None
    now[0] = 9.0
    assert asking.ask(["second"]) is None
    assert asking.why == "The time for evidence was over."
    assert machine.ran == [["first"]]


def test_complaints_are_told_with_their_parts(tmp_path: Path, machine: FakeMachine) -> None:
    machine.printed += SPLAT
    files = write(tmp_path, failure(module="x", repro={"scenario": "a.py::test_it"}, kept="abcd"), machine)
    (told,) = json.loads(files["splats.json"])
    assert (told["kind"], told["cpu"], told["pid"], told["site"]["function"]) == ("WARNING", 0, 9, "x")
    assert "The kernel said: WARNING: WARNING: CPU: 0 PID: 9" in files["README"]
    assert "lab exec abcd -- COMMAND; lab keep stop abcd" in files["README"]
    assert "lab repro" in files["README"]
    assert json.loads(files["repro.json"]) == {"scenario": "a.py::test_it"}
    assert {"modules.txt", "module.txt", "bpf.json"} <= set(files)


def test_a_flood_leaves_a_bounded_file(tmp_path: Path, machine: FakeMachine) -> None:
    machine.printed += SPLAT * 2000
    assert len(json.loads(write(tmp_path, failure(), machine)["splats.json"])) == 50


@pytest.mark.parametrize("name", ["f.py::test_x[a/b ../c]", "f.py::" + "x" * 300, "no-double-colon", "f.py::test é\n"])
def test_any_name_becomes_one_folder(tmp_path: Path, name: str) -> None:
    place = write_bundle(tmp_path, failure(name=name), None)
    assert place.parent == tmp_path
    assert len(place.name.encode()) <= 120


def test_a_failure_without_words_is_no_error(tmp_path: Path) -> None:
    assert "Verdict: lost. \n" in write(tmp_path, failure(message="", verdict="lost"))["README"]
