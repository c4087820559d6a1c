"""What is packed is what a cpio of the same format unpacks."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import HostError
from lab.images.cpio import CpioFile, cpio_archive
from lab.process import run, which


def members(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Name -> mode and content, read as the kernel's init/initramfs.c reads it."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert at % 4 == 0
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length]
        assert name.endswith(b"\0")
        at += 110 + length + -(110 + length) % 4
        if name == b"TRAILER!!!\0":
            assert at == len(archive)
            return found
        found[name[:-1].decode()] = (mode, archive[at : at + size])
        at += size + -size % 4


def test_files_folders_and_modes_are_there() -> None:
    files = {"init": CpioFile(b"#!", 0o755), "a/b/c": CpioFile(b"")}
    found = members(cpio_archive(files, ("proc", "a")))
    assert found == {
        "a": (stat.S_IFDIR | 0o755, b""),
        "a/b": (stat.S_IFDIR | 0o755, b""),
        "proc": (stat.S_IFDIR | 0o755, b""),
        "init": (stat.S_IFREG | 0o755, b"#!"),
        "a/b/c": (stat.S_IFREG | 0o644, b""),
    }


def test_a_folder_comes_before_what_is_in_it() -> None:
    names = list(members(cpio_archive({"z/y/x": CpioFile(b""), "b": CpioFile(b"")}, ("m/n",))))
    assert names.index("z") < names.index("z/y") < names.index("z/y/x")


def test_an_archive_of_nothing_is_its_trailer() -> None:
    assert members(cpio_archive({})) == {}


def test_archives_can_stand_one_behind_the_other() -> None:
    """A machine's own files follow the kernel's initrd: both must end where the next can begin."""
    assert all(len(cpio_archive({"x": CpioFile(b"x" * size)})) % 4 == 0 for size in range(8))


@given(st.dictionaries(st.text("abc/d.é", min_size=1, max_size=9).filter(lambda name: "/" not in name), st.binary()))
def test_contents_of_any_size_come_back(contents: dict[str, bytes]) -> None:
    found = members(cpio_archive({name: CpioFile(data) for name, data in contents.items() if name != "."}))
    assert {name: data for name, (_, data) in found.items()} == {k: v for k, v in contents.items() if k != "."}


def test_the_same_files_make_the_same_archive() -> None:
    assert cpio_archive({"a": CpioFile(b"1")}) == cpio_archive({"a": CpioFile(b"1")})


def test_cpio_itself_unpacks_it(tmp_path: Path) -> None:
    try:
        cpio = which("cpio")
    except HostError:
        pytest.skip("this host has no cpio")
    archive = cpio_archive({"a/file": CpioFile(b"content", 0o600)}, ("empty",))
    run([cpio, "-id", "--quiet", "--no-preserve-owner"], deadline=10, stdin=archive, cwd=tmp_path)
    assert (tmp_path / "a" / "file").read_bytes() == b"content"
    assert (tmp_path / "a" / "file").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "empty").is_dir()
