"""Runs on hosts that lack something: the network, disk space, root's powers."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from tests.support.namespaces import NOBODY, with_small_disk, without_network
from tests.support.runs import LAB, Place, until

ONE = "scenarios/capture/test_open.py::test_an_open_of_a_missing_file_is_reported_with_its_error"


def test_with_a_filled_store_a_run_needs_no_archive(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_CATALOG_HOURS": "0"})
    done = place.run(without_network(place.pytest(ONE)))
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_offline_a_filled_store_is_all_a_run_needs_and_no_archive_is_missed(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_CATALOG_HOURS": "0"})
    done = place.run(without_network(place.pytest(ONE, "--offline")))
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "reached" not in done.stdout


def test_offline_a_command_runs_in_a_guest_out_of_a_filled_store(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_CATALOG_HOURS": "0"})
    done = place.run(without_network([*LAB, "run", "--offline", "--", "uname", "-s"]))
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "Linux"
    assert "reached" not in done.stdout


def test_offline_with_an_empty_store_one_sentence_says_what_is_lacking(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_STORE": str(tmp_path / "store"), "LAB_OFFLINE": "1"})
    done = place.run(place.pytest(ONE))
    assert done.returncode == 1, done.stdout
    assert "is not in the store" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_what_a_running_machine_uses_is_not_collected(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.start([*LAB, "run", "--", "sleep", "1000"]) as run:
        until(lambda: bool(list(place.machines.glob("*/record.json"))), 120)
        listed = json.loads(place.run([*LAB, "gc", "--json"]).stdout)
        run.kill()
    used = {row["kind"] for row in listed["items"] if row["in_use"]}
    assert used >= {"kernel", "image", "initrd", "qemu"}


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
    inner = f"{run}; status=$?; ls {store}/tmp; exit $status"
    done = place.run(with_small_disk(store, "size=64m", ["sh", "-c", inner]))
    assert done.returncode == 1, done.stdout
    assert "no space left" in done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("==="), "something is left in the store's tmp"


def test_too_little_free_space_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_STORE": str(tmp_path / "store"), "LAB_MIN_FREE_MIB": str(1 << 30)})
    done = place.run(place.pytest(ONE))
    assert done.returncode == 1, done.stdout
    assert "MiB are free" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="this whole run is one without root already")
def test_a_user_without_root_fetches_builds_and_runs(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_STORE": str(tmp_path / "store"), "HOME": str(tmp_path), "LAB_ACCEL": "tcg"})
    done = place.run(place.pytest(ONE, prefix=NOBODY))
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
