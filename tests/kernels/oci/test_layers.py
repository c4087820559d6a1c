"""Archives of strangers go into their folder, and nowhere else."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import pytest

from lab.errors import ArchiveError
from lab.kernels.oci.layers import Unpacker
from tests.support.registry import member, tar


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to unpack into, with something beside it that must stay as it is."""
    (tmp_path / "beside").write_text("untouched")
    made = tmp_path / "root"
    made.mkdir()
    return made


def unpack(place: Path, *archives: bytes, unpacker: Unpacker | None = None) -> None:
    for archive in archives:
        path = place.parent / "archive"
        path.write_bytes(archive)
        (unpacker or Unpacker(place)).layer(path)
    assert (place.parent / "beside").read_text() == "untouched"


@pytest.mark.parametrize(
    "archive",
    [
        tar(member("../beside", "x")),
        tar(member("a/../../beside", "x")),
        tar(member("/beside", "x")),
        tar(member("a", target="../beside")),
        tar(member("a/b/c", target="../../../beside")),
        tar(member("a", target="..", kind=tarfile.SYMTYPE), member("a/beside", "x")),
        tar(member("a", target="../beside", kind=tarfile.LNKTYPE)),
        tar(member("a", target="/beside", kind=tarfile.LNKTYPE)),
        tar(member("a", target="nothing", kind=tarfile.LNKTYPE)),
        tar(member("../.wh.beside")),
    ],
)
def test_what_leads_out_of_an_image_is_refused(place: Path, archive: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpack(place, archive)
    assert (place.parent / "beside").read_text() == "untouched"
    assert sorted(path.name for path in place.parent.iterdir()) == ["archive", "beside", "root"]


def test_absolute_links_mean_the_images_own_root(place: Path) -> None:
    unpack(place, tar(member("usr/lib/a", "content"), member("lib", target="/usr/lib"), member("lib/b", "through")))
    assert (place / "lib").readlink() == Path("usr/lib")
    assert (place / "usr/lib/b").read_text() == "through"


def test_a_link_over_a_link_never_leads_out(place: Path) -> None:
    (place.parent / "outside").mkdir()
    unpack(place, tar(member("d/e/f", "x"), member("short", target="d/e"), member("short/up", target="../../d")))
    assert (place / "d/e/up").resolve() == place / "d"
    with pytest.raises(ArchiveError, match="out of it"):
        unpack(place, tar(member("short", target="d/e"), member("short/up", target="../../../outside")))


def test_devices_and_pipes_are_left_out_and_modes_are_plain(place: Path) -> None:
    device, pipe, program = (
        member("dev/sda", kind=tarfile.BLKTYPE),
        member("p", kind=tarfile.FIFOTYPE),
        member("su", "x"),
    )
    program[0].mode, program[0].uid = 0o6755, 1234
    unpack(place, tar(device, pipe, program))
    assert [path.name for path in place.rglob("*")] == ["su"]
    assert (place / "su").stat().st_mode & 0o7777 == 0o755
    assert (place / "su").stat().st_uid == os.getuid()


def test_what_a_later_layer_brings_takes_the_place_of_what_was_there(place: Path) -> None:
    first = tar(member("a", "file"), member("b/c", "x"), member("d", target="b"), member("e/f", "x"))
    second = tar(
        member("a/inside", "a folder now"),
        member("b", "a file now"),
        member("d", "no link now"),
        member("e", kind=tarfile.DIRTYPE),
    )
    unpack(place, first, second)
    assert (place / "a/inside").is_file()
    assert (place / "b").read_text() == "a file now"
    assert (place / "d").read_text() == "no link now"
    assert (place / "e/f").is_file()


def test_whiteouts_touch_nothing_of_their_own_layer(place: Path) -> None:
    unpack(place, tar(member("d/old", "x")), tar(member("d/new", "x"), member("d/.wh..wh..opq"), member("d/.wh.old")))
    assert [path.name for path in (place / "d").iterdir()] == ["new"]


def test_an_image_is_no_larger_than_the_lab_allows(place: Path) -> None:
    with pytest.raises(ArchiveError, match="larger than the lab unpacks"):
        unpack(place, gzip.compress(tar(member("a", b"\0" * 5000))), unpacker=Unpacker(place, most_bytes=4999))
    with pytest.raises(ArchiveError, match="more files"):
        unpack(place, tar(*(member(str(name)) for name in range(9))), unpacker=Unpacker(place, most_members=9))


def test_a_header_of_any_size_is_not_read_into_memory(place: Path) -> None:
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.XHDTYPE, 64 << 20
    with pytest.raises(ArchiveError, match="header that is too large"):
        unpack(place, gzip.compress(info.tobuf() + b"\0" * (64 << 20)))


@pytest.mark.parametrize(
    "archive",
    [
        tar(member("a", target="a"), member("a/b", "x")),
        tar(member("n" * 300, "x")),
        tar(member("d/" * 101 + "x", "x")),
    ],
)
def test_names_that_no_disk_takes_are_a_sentence(place: Path, archive: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpack(place, archive)


def test_a_file_gives_way_to_a_folder_of_its_name(place: Path) -> None:
    unpack(place, tar(member("f", "x"), member("f/g", "y")))
    assert (place / "f/g").read_text() == "y"
