"""Only what a record identifies beyond doubt is ended, and only when its owner is gone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lab.errors import HostError
from lab.machines.record import Folder, Record, boot_id, living, reap, start_time
from tests.support import wait


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def orphan(run_dir: Path, record: Record | str | None, name: str = "orphan") -> Path:
    """A machine's folder whose owner is gone."""
    run_dir.mkdir(mode=0o700, exist_ok=True)
    folder = run_dir / name
    folder.mkdir(mode=0o700)
    (folder / "owner.lock").touch()
    if record is not None:
        text = record if isinstance(record, str) else json.dumps(asdict(record))
        (folder / "record.json").write_text(text)
    return folder


def record_of(process: subprocess.Popen[bytes]) -> Record:
    return Record("orphan", "a test", process.pid, start_time(process.pid), boot_id(), 0.0)


def test_a_folder_is_private(run_dir: Path) -> None:
    folder = Folder(run_dir)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    folder.remove()


def test_a_removed_folder_leaves_nothing_and_can_be_removed_again(run_dir: Path) -> None:
    folder = Folder(run_dir)
    folder.remove()
    folder.remove()
    assert [path for path in run_dir.iterdir() if path.is_dir()] == []


def test_an_owned_folder_is_not_touched(run_dir: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = Folder(run_dir)
    folder.write(sleeper.pid, "a test")
    assert reap(run_dir) == 0
    assert folder.path.is_dir()
    assert sleeper.poll() is None
    folder.remove()


def test_an_orphans_process_is_ended_and_its_folder_removed(run_dir: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = orphan(run_dir, record_of(sleeper))
    assert reap(run_dir) == 1
    assert not folder.exists()
    assert sleeper.wait(10) == -9


@pytest.mark.parametrize("change", [{"start_time": 1}, {"boot_id": "another"}, {"start_time": 0}])
def test_a_process_that_is_another_than_recorded_is_not_touched(
    run_dir: Path, sleeper: subprocess.Popen[bytes], change: dict[str, str | int]
) -> None:
    folder = orphan(run_dir, replace(record_of(sleeper), **change))  # type: ignore[arg-type]
    assert reap(run_dir) == 1
    assert not folder.exists()
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"pid": 1}', "\x00", '"x"', "null"])
def test_a_folder_whose_record_is_damaged_is_removed_and_nothing_ended(run_dir: Path, text: str | None) -> None:
    folder = orphan(run_dir, text)
    assert reap(run_dir) == 1
    assert not folder.exists()


@pytest.mark.parametrize("pid", ["self", -1, 0, 1 << 70, None, "1"])
def test_a_record_with_an_impossible_number_ends_nothing(run_dir: Path, pid: object) -> None:
    row = {"name": "x", "purpose": "", "pid": pid, "start_time": start_time(os.getpid()), "boot_id": boot_id()}
    orphan(run_dir, json.dumps({**row, "started": 0}))
    assert reap(run_dir) == 1


def test_a_process_that_has_ended_by_itself_is_no_obstacle(run_dir: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        record = record_of(process)
        process.kill()
    orphan(run_dir, record)
    assert reap(run_dir) == 1


def test_reaping_where_nothing_ever_ran_does_nothing(run_dir: Path) -> None:
    assert reap(run_dir) == 0
    assert living(run_dir) == []
    assert not run_dir.exists()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_can_enter_is_refused(run_dir: Path, mode: int) -> None:
    run_dir.mkdir()
    run_dir.chmod(mode)
    for use in (reap, Folder):
        with pytest.raises(HostError, match="not a private folder"):
            use(run_dir)


def test_a_link_in_the_folders_place_is_refused(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    run_dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="not a private folder"):
        Folder(run_dir)


OWNER = """
import sys, subprocess, pathlib
from lab.machines.record import Folder
folder = Folder(pathlib.Path(sys.argv[1]))
process = subprocess.Popen(["sleep", "1000"])
folder.write(process.pid, "a test")
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_when_an_owner_is_killed_the_next_run_ends_its_machine(run_dir: Path) -> None:
    words = [sys.executable, "-c", OWNER, str(run_dir)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        machine = int(owner.stdout.readline())
        assert reap(run_dir) == 0
        assert [record.pid for record in living(run_dir)] == [machine]
        owner.kill()
    assert reap(run_dir) == 1
    wait.until(lambda: wait.gone(machine), "the machine's end")
    assert living(run_dir) == []


def test_the_living_are_those_that_match_their_records(run_dir: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record = record_of(sleeper)
    orphan(run_dir, record, "real")
    orphan(run_dir, replace(record, start_time=1), "reused")
    orphan(run_dir, "{", "damaged")
    assert living(run_dir) == [record]


def test_a_start_time_is_read_past_a_name_with_spaces_and_brackets(tmp_path: Path) -> None:
    program = tmp_path / "a ) 1 2 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"]) as process:
        wait.until(lambda: ") 1 2" in Path(f"/proc/{process.pid}/stat").read_text(), "the program's start")
        assert start_time(process.pid) >= start_time(os.getpid())
        process.kill()


def test_what_is_gone_has_no_start_time() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait(10)
    assert start_time(process.pid) == 0


def test_a_kept_machine_says_so_in_its_record_and_is_nobodys_orphan(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(os.getpid(), "a run")
    assert [record.kept for record in living(tmp_path)] == [False]
    folder.write(os.getpid(), "kept: a scenario", kept=True)
    assert [(record.purpose, record.kept) for record in living(tmp_path)] == [("kept: a scenario", True)]
    assert reap(tmp_path) == 0
    folder.remove()
