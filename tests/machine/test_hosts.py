"""Runs on hosts that lack something: the network, disk space, root's powers."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.runs import Place

ONE = "scenarios/capture/test_open.py::test_an_open_of_a_missing_file_is_reported_with_its_error"
# A network namespace with nothing but loopback; as root, or with a user namespace in which we are root.
NO_NETWORK = ["unshare", "--net", *([] if os.getuid() == 0 else ["--map-root-user"])]
# A new namespace's loopback is down, and a fresh host may have no ip(8): SIOCSIFFLAGS with IFF_UP.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_network(command: list[str]) -> list[str]:
    return [*NO_NETWORK, sys.executable, "-c", LOOPBACK_UP, *command]


def test_with_a_filled_store_a_run_needs_no_archive(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_CATALOG_HOURS": "0"})
    done = place.run(without_network(place.pytest(ONE)))
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_with_an_empty_store_and_no_archive_one_sentence_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_STORE": str(tmp_path / "store")})
    done = place.run(without_network(place.pytest(ONE)))
    assert done.returncode == 1, done.stdout
    assert "1 error" in done.stdout
    assert "cannot be reached" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_full_disk_is_one_sentence_and_leaves_the_store_good(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    place = Place(tmp_path, {"LAB_STORE": str(store), "LAB_MIN_FREE_MIB": "0"})
    run = shlex.join(place.pytest(ONE))
    inner = f"mount -t tmpfs -o size=64m tmpfs {store} && {run}; status=$?; ls {store}/tmp; exit $status"
    prefix = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    done = place.run([*prefix, "sh", "-c", inner])
    assert done.returncode == 1, done.stdout
    assert "no space left" in done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("==="), "something is left in the store's tmp"


def test_too_little_free_space_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_STORE": str(tmp_path / "store"), "LAB_MIN_FREE_MIB": str(1 << 30)})
    done = place.run(place.pytest(ONE))
    assert done.returncode == 1, done.stdout
    assert "MiB are free" in done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="this whole run is one without root already")
def test_a_user_without_root_fetches_builds_and_runs(tmp_path: Path) -> None:
    # In a user namespace with one ordinary id: no powers over the host, and none within.
    place = Place(tmp_path, {"LAB_STORE": str(tmp_path / "store"), "HOME": str(tmp_path), "LAB_ACCEL": "tcg"})
    prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    done = place.run(place.pytest(ONE, prefix=prefix))
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
