"""Files whose room on the disk is taken before they are written, and given back when they were not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import sparse
from tests.support.namespaces import with_small_disk

SIZE = 8 << 20
PART = b"x" * 4096
RESERVING = """
import errno, pathlib, sys
from lab import sparse
try:
    sparse.reserve(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def room(path: Path) -> int:
    """The bytes that the file takes on its disk."""
    return path.stat().st_blocks * 512


def test_a_reserved_file_has_its_room_and_no_content(tmp_path: Path) -> None:
    assert sparse.reserve(tmp_path / "file", SIZE)
    assert room(tmp_path / "file") >= SIZE
    assert (tmp_path / "file").read_bytes() == bytes(SIZE)


@pytest.mark.parametrize("places", [[], [0], [SIZE - len(PART)], [1 << 20, 5 << 20]])
def test_only_what_was_not_written_is_given_back(tmp_path: Path, places: list[int]) -> None:
    path = tmp_path / "file"
    sparse.reserve(path, SIZE)
    expected = bytearray(SIZE)
    with path.open("r+b") as stream:
        for place in places:
            os.pwrite(stream.fileno(), PART, place)
            expected[place : place + len(PART)] = PART
    # Not read before: what is in the host's page cache counts as written.
    sparse.release(path)
    assert room(path) < 1 << 20
    assert path.read_bytes() == expected


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(PART)
    with pytest.raises(FileExistsError):
        sparse.reserve(tmp_path / "file", SIZE)
    assert (tmp_path / "file").read_bytes() == PART


def test_more_than_there_is_cannot_be_reserved(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RESERVING, str(tmp_path / "file"), str(SIZE)]
    done = subprocess.run(with_small_disk(tmp_path, "size=4m", command), text=True, stdout=subprocess.PIPE, check=True)
    assert done.stdout == "ENOSPC\n"


def test_a_file_system_without_reservations_leaves_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "_fallocate", lambda *_: False)
    assert not sparse.reserve(tmp_path / "file", SIZE)
    assert room(tmp_path / "file") == 0
    assert (tmp_path / "file").read_bytes() == bytes(SIZE)
