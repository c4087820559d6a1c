"""The store fills once, keeps what is whole, notices what is not and leaves nothing half made."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.errors import HostError, NoSpaceError
from lab.store import Entry, Store, content_digest, file_digest, key_of
from tests.support import wait
from tests.support.filling import INPUTS, Filler, leftovers, truncate

Fill = Callable[[Path], dict[str, Any]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def failing(error: BaseException) -> Fill:
    def fill(folder: Path) -> dict[str, Any]:
        (folder / "half").write_text("half")
        raise error

    return fill


def test_an_entry_is_filled_once_and_found_again(store: Store) -> None:
    filler = Filler()
    first, second = store.get("kind", INPUTS, filler), store.get("kind", INPUTS, filler)
    assert first == second == Entry("kind", key_of(INPUTS), first.files, {"made": 1}, content_digest(first.files))
    assert (second.files / "file").read_text() == "content"
    assert filler.calls == 1


def test_other_inputs_are_another_entry(store: Store) -> None:
    filler = Filler()
    first, second = store.get("kind", {"a": 1}, filler), store.get("kind", {"a": 2}, filler)
    assert first.files != second.files
    assert filler.calls == 2


def test_the_order_in_which_inputs_are_written_says_nothing() -> None:
    assert key_of({"a": 1, "b": (2, 3)}) == key_of({"b": [2, 3], "a": 1})


def test_what_was_never_made_is_not_found(store: Store) -> None:
    assert store.find("kind", INPUTS) is None


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), NoSpaceError("full")])
def test_a_fill_that_raises_leaves_nothing(store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)):
        store.get("kind", INPUTS, failing(error))
    assert leftovers(store) == []
    assert store.get("kind", INPUTS, Filler()).provenance == {"made": 1}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_such_and_leaves_nothing(store: Store, number: int) -> None:
    with pytest.raises(NoSpaceError, match="no space left") as caught:
        store.get("kind", INPUTS, failing(OSError(number, os.strerror(number))))
    assert caught.value.hint
    assert leftovers(store) == []


def test_a_forbidden_disk_names_the_path_and_the_setting(store: Store) -> None:
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/forbidden")
    with pytest.raises(HostError, match=r"/forbidden cannot be written(.|\n)*LAB_STORE"):
        store.get("kind", INPUTS, failing(error))


def test_other_errors_of_a_fill_are_not_disguised(store: Store) -> None:
    with pytest.raises(ConnectionResetError):
        store.get("kind", INPUTS, failing(ConnectionResetError()))


def test_nothing_is_made_when_too_little_is_free(tmp_path: Path) -> None:
    filler = Filler()
    with pytest.raises(NoSpaceError, match="are needed"):
        Store(tmp_path / "store", min_free_mib=1 << 40).get("kind", INPUTS, filler)
    assert filler.calls == 0


def test_a_store_that_cannot_be_made_is_an_error_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((HostError, NotADirectoryError)):
        Store(tmp_path / "file" / "store")


def test_threads_that_want_the_same_fill_it_once(store: Store) -> None:
    filler = Filler()
    found: list[Entry] = []
    threads = [threading.Thread(target=lambda: found.append(store.get("kind", INPUTS, filler))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert filler.calls == 1


def _get_in_process(root: Path, ready: Any, done: Any) -> None:
    def fill(folder: Path) -> dict[str, Any]:
        with (root / "fills").open("a") as stream:
            stream.write("x")
        (folder / "file").write_bytes(b"x" * 1_000_000)
        return {}

    store = Store(root)
    ready.wait(10)
    done.put(str(store.get("kind", INPUTS, fill).files))


@pytest.mark.parametrize("damaged", [False, True], ids=["empty store", "damaged entry"])
def test_processes_that_want_the_same_fill_it_once(tmp_path: Path, damaged: bool) -> None:
    root = tmp_path / "store"
    if damaged:
        truncate(Store(root).get("kind", INPUTS, Filler()).files.parent)
    context = multiprocessing.get_context("fork")
    ready, done = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_get_in_process, args=(root, ready, done)) for _ in range(4)]
    for process in processes:
        process.start()
    folders = {done.get(timeout=10) for _ in processes}
    for process in processes:
        process.join(10)
        process.close()
    done.close()
    done.join_thread()
    assert len(folders) == 1
    assert (root / "fills").read_text() == "x"


KILLED = """
import sys, pathlib
from lab.store import Store
def fill(folder):
    (folder / "half").write_text("half")
    print("filling", flush=True)
    sys.stdin.read()
    return {}
Store(pathlib.Path(sys.argv[1])).get("kind", {"what": "a test"}, fill)
"""


def _filling(root: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", KILLED, str(root)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"filling\n"
    return process


def test_what_a_killed_fill_left_is_swept_and_what_runs_is_not(store: Store) -> None:
    with _filling(store.root) as process:
        store.sweep()
        assert len(list((store.root / "tmp").iterdir())) == 1
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        wait.until(lambda: wait.gone(process.pid), "the end of the filling process")
        store.sweep()
    assert leftovers(store) == []


def test_a_fill_after_a_killed_one_starts_from_an_empty_folder(store: Store) -> None:
    with _filling(store.root) as process:
        process.kill()
        process.wait(10)
    entry = store.get("kind", INPUTS, Filler())
    assert [path.name for path in entry.files.iterdir()] == ["file"]


def test_a_killed_fill_harms_nothing_else_in_the_store(store: Store) -> None:
    other = store.get("kind", {"what": "another"}, Filler())
    with _filling(store.root) as process:
        process.kill()
        process.wait(10)
    assert Store(store.root).find("kind", {"what": "another"}) == other
    assert Store(store.root).find("kind", INPUTS) is None
    assert Store(store.root).get("kind", INPUTS, Filler()).provenance == {"made": 1}
    store.sweep()
    assert len(leftovers(store)) == 2, "the two entries, and nothing half made"


def test_what_was_half_removed_is_swept(store: Store) -> None:
    entry = store.get("kind", INPUTS, Filler())
    aside = store.root / "tmp" / f"kind-{entry.key}-discarded"
    entry.files.parent.rename(aside)
    store.sweep()
    assert leftovers(store) == []


def test_a_sweep_that_only_looks_removes_nothing(store: Store) -> None:
    left = store.root / "tmp" / "kind-1"
    left.mkdir()
    assert store.sweep(dry=True) == [left]
    assert left.exists()
    assert store.sweep() == [left]
    assert not left.exists()


def test_state_outlives_stores(store: Store) -> None:
    (store.state("verdicts") / "one").write_text("1")
    assert (Store(store.root).state("verdicts") / "one").read_text() == "1"


def test_a_lock_may_be_taken_again_by_its_holder(store: Store) -> None:
    with store.lock("name"), store.lock("name"):
        pass


def test_a_digest_tells_names_contents_and_links_apart(tmp_path: Path) -> None:
    digests = set()
    for number, (name, content) in enumerate([("a", "x"), ("b", "x"), ("a", "y"), ("a", "")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_text(content)
        digests.add(content_digest(folder))
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "a").symlink_to("x")
    digests.add(content_digest(tmp_path / "link"))
    assert len(digests) == 5


def test_names_that_are_no_utf8_have_a_digest(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_text("x")
    assert len(content_digest(tmp_path)) == 64


def test_a_files_digest_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_digest(tmp_path / "file").startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize("layout", ["hole first", "hole last", "data only", "hole only", "hole between"])
def test_a_files_digest_is_that_of_its_content_whatever_of_it_is_holes(tmp_path: Path, layout: str) -> None:
    part, size = os.urandom(70_000), 5 << 20
    places = {"hole first": [size - 70_000], "hole last": [0], "data only": [0], "hole only": [], "hole between": []}
    with (tmp_path / "holes").open("wb") as stream:
        for place in places[layout] or ([0, 3 << 20] if layout == "hole between" else []):
            stream.seek(place)
            stream.write(part)
        stream.truncate(70_000 if layout == "data only" else size)
    (tmp_path / "whole").write_bytes((tmp_path / "holes").read_bytes())
    expected = hashlib.sha256((tmp_path / "whole").read_bytes()).hexdigest()
    assert file_digest(tmp_path / "holes") == file_digest(tmp_path / "whole") == expected
