"""What the store holds is told in words that a person can decide by."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lab import inventory
from lab.inventory import describe, disk_size
from lab.store import Store

SHA = "0" * 64
MADE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "kernel": (
        {"packages": [{"package": "linux-image-6.12.1-cloud-amd64"}]},
        {"package": "linux-image-6.12.1-cloud-amd64", "version": "6.12.1-1", "sha256": SHA, "suite": "trixie"},
        "6.12.1-cloud-amd64 (6.12.1-1, trixie)",
    ),
    "headers": (
        {"packages": [{"name": "linux-headers-6.12.1-cloud-amd64"}, {"name": "linux-headers-6.12.1-common"}]},
        {},
        "build tree of 6.12.1-cloud-amd64",
    ),
    "builder": ({"suite": "trixie", "packages": ["gcc-14", "make"]}, {"packages": {}}, "trixie: gcc-14, make"),
    "image": ({"suite": "forky", "arch": "arm64"}, {"packages": {}}, "guest/arm64 (forky)"),
    "qemu": (
        {"packages": ["qemu-system-arm"]},
        {"version": "10.0.13", "packages": {}},
        "QEMU 10.0.13: qemu-system-arm",
    ),
    "source": ({}, {"package": "a-dkms", "version": "1-2", "suite": "sid"}, "a-dkms 1-2 (sid)"),
    "driver": (
        {"module": "scap"},
        {"package": "a-dkms", "version": "1-2", "kernel": "6.12.1-cloud-amd64"},
        "scap of a-dkms 1-2 for 6.12.1-cloud-amd64",
    ),
    "program": ({"name": "fork_and_exit", "arch": "amd64"}, {}, "fork_and_exit for amd64"),
    "oci": (
        {"digest": f"sha256:{SHA}"},
        {"registry": "registry.example", "repository": "k", "tag": "x", "digest": f"sha256:{SHA}"},
        "registry.example/k@sha256:000000000000",
    ),
    "template": ({}, {"cell": "6.12-amd64-d:kmod"}, "machine of 6.12-amd64-d:kmod, saved when it was ready"),
    "initrd": ({"kernel": "abc"}, {}, "for 6.12.1-cloud-amd64 (6.12.1-1, trixie)"),
}
KERNELS = {"abc": "6.12.1-cloud-amd64 (6.12.1-1, trixie)"}


@pytest.mark.parametrize("kind", MADE)
def test_every_kind_is_told_by_what_it_is(kind: str) -> None:
    inputs, made, words = MADE[kind]
    assert describe(kind, {"inputs": inputs, "provenance": made}, KERNELS) == words


def test_a_driver_out_of_a_folder_is_told_by_the_folder() -> None:
    record = {"inputs": {"module": "mine"}, "provenance": {"folder": "/src/mine", "kernel": "6.12.1"}}
    assert describe("driver", record, {}) == "mine of /src/mine for 6.12.1"


def test_an_initrd_whose_kernel_has_gone_says_so() -> None:
    assert "not here any more" in describe("initrd", {"inputs": {"kernel": "other"}}, KERNELS)


@pytest.mark.parametrize("kind", [*MADE, "unheard-of"])
def test_an_entry_of_another_version_of_the_lab_tells_what_it_has(kind: str) -> None:
    record = {"inputs": {"z": 1, "what": ["a"]}, "provenance": {"origin": "oci", "package": None}}
    assert describe(kind, record, {}) == "origin oci, z 1"


@pytest.mark.parametrize("record", [{}, {"inputs": []}, {"inputs": {"packages": [3]}, "provenance": "x"}])
@pytest.mark.parametrize("kind", MADE)
def test_a_record_of_the_wrong_shape_harms_nobody(kind: str, record: dict[str, Any]) -> None:
    assert isinstance(describe(kind, record, {}), str)


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    record = {"inputs": {}, "provenance": {"label": "\x1b[2J\r\nx" + "y" * 1000}}
    words = describe("unheard-of", record, {})
    assert words.startswith("label ?[2J??xyyy")
    assert len(words) == 100


def test_entries_come_least_recently_used_first_and_initrds_know_their_kernels(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys: dict[str, str] = {}
    for used, kind in ((300, "kernel"), (100, "program"), (200, "initrd")):
        inputs, made, _ = MADE[kind]
        inputs = {**inputs, "kernel": keys["kernel"]} if kind == "initrd" else inputs
        entry = store.get(kind, inputs, lambda folder, made=made: (folder / "x").touch() or made)  # type: ignore[misc]
        keys[kind] = entry.key
        os.utime(entry.files.parent, (used, used))
    found = inventory.entries(store)
    assert [(item.kind, item.used) for item in found] == [("program", 100), ("initrd", 200), ("kernel", 300)]
    assert found[1].what == "for 6.12.1-cloud-amd64 (6.12.1-1, trixie)"
    assert found[2].name == f"kernel/{keys['kernel']}"


def test_the_state_and_what_is_half_made_are_listed_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.state("apt")
    (store.root / "tmp" / "kernel-1").mkdir()
    assert {item.name for item in inventory.others(store)} == {"state/apt", "leftover/kernel-1"}


def test_a_size_is_what_the_disk_gives_and_counts_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(1 << 20))
    one = disk_size(folder)
    assert 1 << 20 <= one < (1 << 20) + (1 << 16)
    os.link(folder / "file", folder / "again")
    (folder / "link").symlink_to("/usr")
    assert disk_size(folder) < one + (1 << 14)
    with (folder / "holes").open("wb") as stream:
        stream.truncate(1 << 30)
    assert disk_size(folder) < one + (1 << 14)


def test_what_vanishes_while_it_is_listed_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.root / "entries" / "kind").mkdir()
    (store.root / "entries" / "kind" / "gone").symlink_to("nowhere")
    (store.root / "entries" / "kind" / "here").mkdir()
    (store.root / "entries" / "kind" / "here" / "entry.json").write_text(json.dumps({"inputs": {}, "provenance": {}}))
    assert [item.key for item in inventory.entries(store)] == ["here"]
