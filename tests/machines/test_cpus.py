"""A guest's CPUs that must run at the same time have CPUs of the host's of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from lab.machines.cpus import keep_apart, shares


def test_the_hosts_cpus_are_dealt_out_in_turn() -> None:
    assert shares(2, {0, 1}) == [{0}, {1}]
    assert shares(2, {7, 3, 5}) == [{3, 7}, {5}]
    assert shares(1, {2, 4}) == [{2, 4}]


def test_where_there_are_fewer_nothing_is_dealt_out() -> None:
    assert shares(2, {0}) == []


@pytest.fixture
def threads() -> Iterator[list[int]]:
    """Two threads of this process that wait."""
    end = threading.Event()
    waiting = [threading.Thread(target=end.wait, daemon=True) for _ in range(2)]
    for thread in waiting:
        thread.start()
    yield [thread.native_id or 0 for thread in waiting]
    end.set()


def test_threads_that_are_kept_apart_share_no_cpu(threads: list[int]) -> None:
    usable = os.sched_getaffinity(0)
    if len(usable) < 2:
        pytest.skip("this host has one CPU")
    keep_apart(threads)
    first, second = (os.sched_getaffinity(thread) for thread in threads)
    assert first
    assert second
    assert not first & second
    assert first | second == usable


def test_a_thread_that_is_gone_is_nobodys_fault() -> None:
    gone = threading.Thread(target=str)
    gone.start()
    gone.join()
    keep_apart([gone.native_id or 0])
