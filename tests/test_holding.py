"""What somebody uses is known to be used, whoever it is and however they end."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import holding
from lab.holding import Holds
from lab.store import Store, key_of
from tests.support import wait
from tests.support.filling import INPUTS, Filler

USER = """
import sys, pathlib
from lab.store import Store
store = Store(pathlib.Path(sys.argv[1]))
assert store.find("kind", {"what": "a test"})
print("using", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def place(store: Store) -> Path:
    """The folder of an entry that nobody holds."""
    return Store(store.root).get("kind", INPUTS, Filler()).files.parent


@contextmanager
def user(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has got the entry."""
    words = [sys.executable, "-c", USER, str(root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"using\n"
        yield process
        process.kill()


def claimable(place: Path) -> bool:
    descriptor = holding.claim(place)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def test_what_was_got_is_held_as_long_as_its_store_lives(store: Store, place: Path) -> None:
    assert claimable(place)
    user = Store(store.root)
    user.get("kind", INPUTS, Filler())
    assert not claimable(place)
    del user
    gc.collect()
    assert claimable(place)


def test_what_was_just_made_is_held(store: Store) -> None:
    assert not claimable(store.get("kind", INPUTS, Filler()).files.parent)


def test_several_may_use_the_same(store: Store, place: Path) -> None:
    with user(store.root), user(store.root):
        assert store.find("kind", INPUTS) is not None
        assert not claimable(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_holds_nothing_any_more(store: Store, place: Path, number: signal.Signals) -> None:
    with user(store.root) as process:
        assert not claimable(place)
        process.send_signal(number)
        process.wait(10)
        wait.until(lambda: claimable(place), "the end of the hold")


def test_a_program_that_the_user_started_does_not_hold_on(store: Store, place: Path) -> None:
    other = Store(store.root)
    other.get("kind", INPUTS, Filler())
    with subprocess.Popen(["sleep", "1000"]) as child:
        del other
        gc.collect()
        assert claimable(place)
        child.kill()


def test_what_is_claimed_is_not_taken(place: Path) -> None:
    descriptor = holding.claim(place)
    assert descriptor is not None
    assert not Holds().take(place)
    os.close(descriptor)
    assert Holds().take(place)


def test_a_folder_made_anew_is_held_anew(place: Path) -> None:
    holds = Holds()
    assert holds.take(place)
    place.rename(place.with_name("aside"))
    assert not holds.take(place)
    place.mkdir()
    assert holds.take(place)
    assert not claimable(place)
    assert claimable(place.with_name("aside"))


def test_holding_the_same_often_takes_one_descriptor(place: Path) -> None:
    holds = Holds()
    holds.take(place)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        assert holds.take(place)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("what", ["absent", "file"])
def test_what_is_no_folder_cannot_be_held(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    assert not Holds().take(tmp_path / what)


def test_who_wants_what_is_being_removed_waits_and_makes_it_again(store: Store, place: Path) -> None:
    filler = Filler("new")
    found: list[str] = []

    def get() -> None:
        found.append((store.get("kind", INPUTS, filler).files / "file").read_text())

    with Store(store.root).lock(f"kind-{key_of(INPUTS)}"):
        descriptor = holding.claim(place)
        assert descriptor is not None
        thread = threading.Thread(target=get)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive(), "it did not wait"
        Store(store.root).discard("kind", key_of(INPUTS))
        os.close(descriptor)
    thread.join(10)
    assert found == ["new"]


def test_a_use_is_noted_and_a_question_is_none(store: Store, place: Path) -> None:
    os.utime(place, (1, 1))
    assert store.has("kind", INPUTS)
    assert holding.last_used(place) == 1
    store.find("kind", INPUTS)
    assert holding.last_used(place) > 1_000_000_000


def test_a_use_changes_nothing_that_is_checked(store: Store, place: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    filler = Filler()
    store.get("kind", INPUTS, filler)
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == before
    assert filler.calls == 0


def test_what_was_never_made_is_not_there(store: Store) -> None:
    assert not store.has("kind", INPUTS)
