"""Room is made by taking what nobody uses, least recently used first, and nothing else."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lab import inventory, storekeeping
from lab.errors import RequestError
from lab.inventory import Item
from lab.store import Store, key_of
from lab.storekeeping import Wish
from tests.support.filling import leftovers
from tests.support.namespaces import NOBODY

MIB = 1 << 20
OLD = 1_000_000_000


def fill(folder: Path) -> dict[str, Any]:
    (folder / "file").write_bytes(os.urandom(MIB))
    return {"made": 1}


def made(root: Path, number: int, kind: str = "kind", used: float = OLD) -> Path:
    """An entry of a mebibyte that nobody holds, last used then; returns its folder."""
    place = Store(root).get(kind, {"number": number}, fill).files.parent
    os.utime(place, (used, used))
    return place


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def collect(store: Store, wish: Wish, *, dry: bool = False) -> storekeeping.Outcome:
    items = inventory.entries(store)
    chosen = storekeeping.candidates(items, wish)
    return storekeeping.collect(store, chosen, sum(item.size for item in items), wish.to_size, dry=dry)


def keys(items: tuple[Item, ...]) -> list[str]:
    return [item.key for item in items]


FILLING = """
import sys, pathlib
from lab.store import Store
def fill(folder):
    (folder / "half").write_text("half")
    print("filling", flush=True)
    sys.stdin.read()
    return {}
Store(pathlib.Path(sys.argv[1])).get("kind", {"number": 1}, fill)
"""


@contextmanager
def filling(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-c", FILLING, str(root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"filling\n"
        yield process
        process.kill()


def test_what_was_not_used_for_long_goes_and_the_rest_stays(store: Store) -> None:
    old, new = made(store.root, 1), made(store.root, 2, used=OLD + 100)
    outcome = collect(store, Wish(before=OLD + 50))
    assert keys(outcome.gone) == [old.name]
    assert not old.exists()
    assert new.exists()
    assert leftovers(store) == [new]


def test_no_more_goes_than_is_needed_and_the_least_recently_used_first(store: Store) -> None:
    places = [made(store.root, number, used=OLD + number) for number in (3, 1, 2)]
    outcome = collect(store, Wish(to_size=2 * MIB + MIB // 2))
    assert keys(outcome.gone) == [places[1].name]
    assert 2 * MIB <= outcome.size <= 2 * MIB + MIB // 2
    assert collect(store, Wish(to_size=3 * MIB)).gone == ()


def test_what_is_in_use_stays_with_the_reason_and_the_next_goes_in_its_place(store: Store) -> None:
    used, free = made(store.root, 1), made(store.root, 2, used=OLD + 1)
    store.find("kind", {"number": 1})
    os.utime(used, (OLD, OLD))
    outcome = collect(store, Wish(to_size=MIB + MIB // 2))
    assert keys(outcome.gone) == [free.name]
    assert [(item.key, reason) for item, reason in outcome.kept] == [(used.name, "in use")]
    assert used.exists()


def test_what_is_being_made_stays(store: Store) -> None:
    place = made(store.root, 1)
    item = inventory.entries(store)[0]
    (place / "entry.json").unlink()
    with filling(store.root):
        assert storekeeping.remove(store, item) == "being made now"


def test_what_cannot_be_known_to_be_free_stays(store: Store) -> None:
    item = Item("kind", "0" * 24, "", 0, 0)
    assert "No such file" in storekeeping.remove(store, item)


def test_a_trial_says_the_same_and_removes_nothing(store: Store) -> None:
    places = [made(store.root, 1), made(store.root, 2), made(store.root, 3)]
    store.find("kind", {"number": 3})
    trial = collect(store, Wish(kinds=("kind",)), dry=True)
    assert all(place.exists() for place in places)
    real = collect(store, Wish(kinds=("kind",)))
    assert {item.key for item in trial.gone} == {item.key for item in real.gone} == {place.name for place in places[:2]}
    assert trial.size == real.size


def test_what_is_given_is_joined(store: Store) -> None:
    made(store.root, 1, kind="one")
    made(store.root, 2, kind="two")
    young = made(store.root, 3, kind="two", used=OLD + 100)
    items = inventory.entries(store)
    assert {item.kind for item in storekeeping.candidates(items, Wish(kinds=("one",)))} == {"one"}
    assert len(storekeeping.candidates(items, Wish(kinds=("one", "two")))) == 3
    assert [item.kind for item in storekeeping.candidates(items, Wish(kinds=("two",), before=OLD + 50))] == ["two"]
    assert keys(tuple(storekeeping.candidates(items, Wish(names=(f"two/{young.name[:6]}",))))) == [young.name]
    assert storekeeping.candidates(items, Wish(names=(f"two/{young.name}",), before=OLD)) == []


@pytest.mark.parametrize(("name", "words"), [("kind/", "no entry"), ("kind", "no entry"), ("other/1", "no entry")])
def test_a_name_that_means_nothing_is_refused(store: Store, name: str, words: str) -> None:
    made(store.root, 1)
    with pytest.raises(RequestError, match=words) as caught:
        storekeeping.candidates(inventory.entries(store), Wish(names=(name,)))
    assert "lab gc" in caught.value.hint


@pytest.mark.parametrize("name", ["state/apt", "leftover/kind-1"])
def test_what_is_listed_and_no_entry_is_refused_with_the_reason(store: Store, name: str) -> None:
    with pytest.raises(RequestError, match="is no entry") as caught:
        storekeeping.candidates(inventory.entries(store), Wish(names=(name,)))
    assert "is kept" in caught.value.hint


def test_a_name_that_means_several_is_refused() -> None:
    items = [Item("kind", "aa1", "", 0, 0), Item("kind", "aa2", "", 0, 0)]
    with pytest.raises(RequestError, match="means 2 entries"):
        storekeeping.candidates(items, Wish(names=("kind/aa",)))


def test_a_removed_entry_is_made_again_when_it_is_wanted(store: Store) -> None:
    made(store.root, 1)
    collect(store, Wish(kinds=("kind",)))
    assert store.find("kind", {"number": 1}) is None
    assert (store.get("kind", {"number": 1}, fill).files / "file").exists()


def test_rubbish_goes_and_what_is_in_work_stays(store: Store) -> None:
    kept = made(store.root, 5)
    with filling(store.root):
        working = next((store.root / "tmp").iterdir())
        (store.root / "tmp" / "kind-ended").mkdir()
        (store.root / "tmp" / f"kind-{'1' * 24}-discarded" / "files").mkdir(parents=True)
        (store.root / "locks" / f"kind-{'2' * 24}.lock").touch()
        logs = store.state("logs")
        for name, age in (("old.log", 40), ("new.log", 1)):
            (logs / name).touch()
            os.utime(logs / name, (time.time() - age * 86400,) * 2)
        found = storekeeping.rubbish(store, time.time() - 30 * 86400)
        storekeeping.tidy(store, found)
        assert [path.name for path in found.logs] == ["old.log"]
        assert [path.name for path in logs.iterdir()] == ["new.log"]
        assert list((store.root / "tmp").iterdir()) == [working]
        assert {path.name for path in (store.root / "locks").iterdir()} >= {
            f"{working.name}.lock",
            f"kind-{kept.name}.lock",
        }
        assert not (store.root / "locks" / f"kind-{'2' * 24}.lock").exists()


def test_locks_that_are_no_entrys_stay(store: Store) -> None:
    for name in ("apt-sid-amd64-01234567", "kvm-probe"):
        with store.lock(name):
            pass
    storekeeping.tidy(store, storekeeping.rubbish(store, 0))
    assert {path.stem for path in (store.root / "locks").iterdir()} == {"apt-sid-amd64-01234567", "kvm-probe"}


def _count(root: Path, rounds: int) -> None:
    store, counter = Store(root), root / "counter"
    for _ in range(rounds):
        with store.lock(f"kind-{'3' * 24}"):
            counter.write_text(str(int(counter.read_text()) + 1))


def test_a_lock_keeps_excluding_while_it_is_tidied_away(store: Store) -> None:
    """Unlinking a lock's file splits those who wait for it, where nobody looks again."""
    (store.root / "counter").write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_count, args=(store.root, 100)) for _ in range(3)]
    for process in processes:
        process.start()
    files: set[int] = set()
    while any(process.is_alive() for process in processes):
        storekeeping.tidy(store, storekeeping.rubbish(store, 0))
        with suppress(FileNotFoundError):  # an inode's number comes again, its times do not
            files.add((store.root / "locks" / f"kind-{'3' * 24}.lock").stat().st_ctime_ns)
    for process in processes:
        process.join(10)
        assert process.exitcode == 0
        process.close()
    assert (store.root / "counter").read_text() == "300"
    assert len(files) > 1, "the lock's file was never removed"


UNWRITABLE = """
import pathlib, sys
from lab import inventory, storekeeping
from lab.store import Store
root = pathlib.Path(sys.argv[1])
def fill(folder):
    inner = folder / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    (folder / "away").symlink_to(root.parent / "outside")
    inner.chmod(0o500)
    inner.parent.chmod(0o500)
    return {}
Store(root).get("kind", {}, fill)
store = Store(root)
assert storekeeping.remove(store, inventory.entries(store)[0]) == ""
print(list((root / "tmp").iterdir()), list((root / "entries").glob("*/*")))
"""


def test_folders_that_nobody_may_write_are_removed_by_a_user_without_powers(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir(mode=0o500)
    words = [*NOBODY, sys.executable, "-c", UNWRITABLE, str(tmp_path / "store")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[] []\n", done.stderr
    assert (tmp_path / "outside").stat().st_mode & 0o777 == 0o500


def test_a_record_that_nobody_can_read_does_not_hide_its_entry(store: Store) -> None:
    place = made(store.root, 1)
    (place / "entry.json").write_text("{")
    outcome = collect(store, Wish(names=(f"kind/{place.name}",)))
    assert [item.what for item in outcome.gone] == ["damaged: its entry.json cannot be read"]
    assert not place.exists()


def test_a_key_is_what_the_inputs_make_it(store: Store) -> None:
    place = made(store.root, 1)
    record = json.loads((place / "entry.json").read_text())
    assert inventory.entries(store)[0].key == key_of(record["inputs"])
