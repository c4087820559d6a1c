"""`lab gc` as a user runs it: a list that removes nothing, removals that say what they did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.cli.main import main
from lab.errors import ExitCode
from lab.store import Store
from tests.support.namespaces import with_small_disk

MIB = 1 << 20
DAY = 86400
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def make(root: Path) -> Callable[..., str]:
    """Put a program of a mebibyte into the store, last used so many days ago; returns its name on a command line."""

    def make(name: str, days: float, *, hold: Store | None = None) -> str:
        def fill(folder: Path) -> dict[str, Any]:
            (folder / "file").write_bytes(os.urandom(MIB))
            return {}

        entry = (hold or Store(root)).get("program", {"name": name, "arch": "amd64"}, fill)
        used = time.time() - days * DAY
        os.utime(entry.files.parent, (used, used))
        return f"program/{entry.key}"

    return make


def there(root: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in (root / "entries").glob("*/*")}


def test_a_list_has_everything_least_recently_used_first_and_removes_nothing(
    root: Path, make: Callable[..., str], capsys: Capture
) -> None:
    names = [make("young", 1), make("old", 50)]
    (root / "tmp" / "program-half").mkdir()
    Store(root).state("apt")
    assert main(["gc"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert [
        said.index(word) for word in ("old for amd64", "young for amd64", "state/apt", "leftover/program-half")
    ] == (
        sorted(said.index(word) for word in ("old for amd64", "young for amd64", "state/apt", "leftover/program-half"))
    )
    assert names[0][:16] in said
    assert "--older-than 30d" in said
    assert there(root) == set(names)
    assert (root / "tmp" / "program-half").exists()


def test_an_empty_store_is_no_mistake(root: Path, capsys: Capture) -> None:
    assert main(["gc"]) == ExitCode.OK
    assert f"0.0 MiB in {root}" in capsys.readouterr().out
    assert main(["gc", "--older-than", "1h"]) == ExitCode.OK


def test_what_is_old_goes_and_is_told(root: Path, make: Callable[..., str], capsys: Capture) -> None:
    old, young = make("old", 50), make("young", 1)
    (root / "tmp" / "program-half").mkdir()
    assert main(["gc", "--older-than", "30d"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert f"removed {old[:16]}: old for amd64, 1.0 MiB" in said
    assert "removed leftovers of killed runs: 1" in said
    assert "1 entries with 1.0 MiB removed" in said
    assert there(root) == {young}
    assert list((root / "tmp").iterdir()) == []


def test_a_dry_run_removes_nothing_and_says_what_it_would(
    root: Path, make: Callable[..., str], capsys: Capture
) -> None:
    names = {make("old", 50), make("young", 1)}
    (root / "tmp" / "program-half").mkdir()
    assert main(["gc", "--older-than", "30d", "--dry-run"]) == ExitCode.OK
    assert "would remove program/" in capsys.readouterr().out
    assert there(root) == names
    assert (root / "tmp" / "program-half").exists()


def test_a_store_is_brought_to_a_size(root: Path, make: Callable[..., str]) -> None:
    names = [make(str(days), days) for days in (3, 1, 2)]
    assert main(["gc", "--to-size", "2.5M"]) == ExitCode.OK
    assert there(root) == {names[1], names[2]}


def test_what_is_in_use_stays_is_named_and_misses_the_size(
    root: Path, make: Callable[..., str], capsys: Capture
) -> None:
    holder = Store(root)
    held, free = make("held", 50, hold=holder), make("free", 50)
    assert main(["gc", "--to-size", "0"]) == ExitCode.CHECK_FAILED
    assert f"kept {held[:16]}: held for amd64, 1.0 MiB: in use" in capsys.readouterr().out
    assert there(root) == {held}
    assert main(["gc", held]) == ExitCode.CHECK_FAILED
    assert main(["gc", "--older-than", "1d"]) == ExitCode.OK
    assert there(root) == {held}
    assert free != held


def test_an_entry_is_removed_by_name_and_a_kind_by_its(root: Path, make: Callable[..., str]) -> None:
    one, two = make("one", 1), make("two", 1)
    other = Store(root).get("other", {}, lambda _: {})
    assert main(["gc", one[:16]]) == ExitCode.OK
    assert there(root) == {two, f"other/{other.key}"}
    del other
    assert main(["gc", "--kind", "program"]) == ExitCode.OK
    assert {name.split("/")[0] for name in there(root)} == {"other"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["program/nosuch"], "no entry 'program/nosuch'"),
        (["--older-than", "30"], "is no age"),
        (["--older-than", "d"], "is no age"),
        (["--to-size", "five"], "is no size"),
        (["--to-size", "-1"], "is no size"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(argv: list[str], words: str, root: Path, capsys: Capture) -> None:
    assert main(["gc", *argv]) == ExitCode.USAGE
    assert words in capsys.readouterr().err
    assert there(root) == set()


def test_programs_read_the_list_and_the_removal(root: Path, make: Callable[..., str], capsys: Capture) -> None:
    holder = Store(root)
    held, free = make("held", 50, hold=holder), make("free", 40)
    assert main(["gc", "--json"]) == ExitCode.OK
    listed = json.loads(capsys.readouterr().out)
    rows = [(f"{row['kind']}/{row['key']}", row["in_use"]) for row in listed["items"]]
    assert rows == [(held, "in use"), (free, "")]
    assert listed["size"] == sum(row["size"] for row in listed["items"]) > 2 * MIB
    assert listed["items"][0]["used"].endswith("+00:00")
    assert main(["gc", "--older-than", "30d", "--json"]) == ExitCode.OK
    done = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in done["removed"]] == [free.partition("/")[2]]
    assert [(row["key"], row["why"]) for row in done["kept"]] == [(held.partition("/")[2], "in use")]
    assert done["dry_run"] is False


FULL = """
import os, pathlib, sys
from lab.cli.main import main
from lab.store import Store
disk = pathlib.Path(sys.argv[1])
os.environ.update(LAB_STORE=str(disk / "store"), LAB_RUN_DIR=str(disk / "machines"))
os.chdir("/")
def fill(folder):
    (folder / "file").write_bytes(os.urandom(1 << 20))
    return {}
for number in range(2):
    Store(disk / "store").get("kind", {"number": number}, fill)
try:
    with open(disk / "blob", "wb") as blob:
        while True:
            blob.write(bytes(4096))
            blob.flush()
except OSError as error:
    print(os.strerror(error.errno))
try:
    for number in range(1000):
        (disk / f"empty{number}").touch()
except OSError as error:
    print(os.strerror(error.errno))
print(main(["gc"]), main(["gc", "--to-size", "0"]))
print(list((disk / "store/entries").glob("*/*")), list((disk / "store/tmp").iterdir()))
(disk / "blob2").write_bytes(bytes(1 << 20))
"""


def test_a_disk_without_a_byte_or_a_file_left_can_be_emptied(tmp_path: Path) -> None:
    command = with_small_disk(tmp_path, "size=4m,nr_inodes=64", [sys.executable, "-c", FULL, str(tmp_path)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("No space left on device\nNo space left on device\n")
    assert "2 entries with 2.0 MiB removed" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["0 0", "[] []"]
