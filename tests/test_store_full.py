"""A disk that gets full in the middle of an unpacking, really: a tmpfs of a few megabytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.debs import file, make_deb
from tests.support.namespaces import with_small_disk

UNPACKING = """
import pathlib, sys
from lab import process
from lab.archives.debs import unpack_deb
from lab.errors import NoSpaceError
from lab.store import Store

disk, deb = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
store = Store(disk / "store")

def small(folder):
    (folder / "file").write_bytes(bytes(1 << 19))
    return {}

def unpack(folder):
    unpack_deb(deb, folder)
    return {}

def let_a_program_unpack(folder):
    process.run(["dpkg-deb", "-x", deb, folder], deadline=60)
    return {}

store.get("kind", {"which": "first"}, small)
for fill in (unpack, let_a_program_unpack):
    try:
        store.get("kind", {"which": "big"}, fill)
    except NoSpaceError as error:
        print(error.what.replace(str(disk), "DISK"), "|", error.hint)
    print(len(list((store.root / "entries").glob("*/*"))), list((store.root / "tmp").iterdir()))
print(store.find("kind", {"which": "first"}) is not None, store.find("kind", {"which": "big"}))
store.get("kind", {"which": "second"}, small)
print(len(list((store.root / "entries").glob("*/*"))))
"""


def test_a_disk_that_gets_full_while_a_package_is_unpacked_leaves_the_store_good(tmp_path: Path) -> None:
    deb = make_deb(tmp_path / "big.deb", [file(f"./{number}", os.urandom(1 << 20)) for number in range(6)])
    disk = tmp_path / "disk"
    disk.mkdir()
    command = with_small_disk(disk, "size=4m", [sys.executable, "-c", UNPACKING, str(disk), str(deb)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        "no space left on the disk of DISK/store | lab gc lists what can go; or set LAB_STORE to another disk",
        "1 []",
        "no space left on the disk while running dpkg-deb | lab gc",
        "1 []",
        "True None",
        "2",
    ], done.stderr
