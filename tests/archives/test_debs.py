"""No package writes outside the folder it is unpacked into, whatever its members are called."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.archives.debs import unpack_deb
from lab.errors import ArchiveError, LabError, NoSpaceError
from tests.support.debs import Member, file, folder, hard_link, link, make_deb, special

# Each is given the folder outside that must stay as it is.
HOSTILE: dict[str, Callable[[Path], list[Member]]] = {
    "a name with dots": lambda _: [file("../../outside/x")],
    "dots in the middle": lambda _: [file("./a/../../outside/x")],
    "an absolute name": lambda outside: [file(f"{outside}/x")],
    "a file through a link": lambda outside: [link("./a/way", outside), file("./a/way/x")],
    "a file through a relative link": lambda _: [link("./a/way", "../../outside"), file("./a/way/x")],
    "a file through two links": lambda outside: [link("./a/b", outside), link("./a/a", "b"), file("./a/a/x")],
    "a folder through a link": lambda outside: [link("./a/way", outside), folder("./a/way/x")],
    "a link through a link": lambda outside: [link("./a/way", outside), link("./a/way/x", "y")],
    "a folder in the place of a link": lambda outside: [link("./a/way", outside), folder("./a/way")],
    "a second name through a link": lambda outside: [link("./a/way", outside), hard_link("./mine", "a/way/kept")],
    "a second name of a link": lambda outside: [link("./a/way", outside / "kept"), hard_link("./mine", "./a/way")],
    "a second name of a file outside": lambda outside: [hard_link("./mine", outside / "kept")],
    "a second name with dots": lambda _: [hard_link("./mine", "../outside/kept")],
    "a second name of nothing": lambda _: [hard_link("./mine", "./absent")],
    "a link for a folder that every root has": lambda outside: [link("./usr", outside)],
    "a link for one in usr": lambda outside: [link("./usr/share", outside)],
    "a device": lambda _: [special("./null", tarfile.CHRTYPE)],
    "a pipe": lambda _: [special("./pipe", tarfile.FIFOTYPE)],
    "a file in the place of a folder": lambda _: [file("./a/x"), file("./a")],
    "a folder in the place of a file": lambda _: [file("./a"), file("./a/x")],
    "a name that no file can have": lambda _: [file("./" + "a" * 300)],
    "a way that is too long": lambda _: [file("./" + "a/" * 3000 + "x")],
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    return outside


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    entry = tmp_path / "entry"
    entry.mkdir()
    return entry


def assert_untouched(outside: Path) -> None:
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    assert (outside / "kept").stat().st_nlink == 1


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_package_is_refused_in_one_sentence_and_writes_nothing_outside(
    what: str, entry: Path, outside: Path
) -> None:
    deb = make_deb(outside.parent / "hostile.deb", HOSTILE[what](outside))
    with pytest.raises(ArchiveError, match=r"^hostile\.deb was refused") as caught:
        unpack_deb(deb, entry)
    assert "\n" not in caught.value.what
    assert caught.value.hint
    assert_untouched(outside)


@pytest.mark.parametrize("target", ["/outside", "../../outside"])
def test_a_link_of_one_package_does_not_lead_the_next_one_out(entry: Path, outside: Path, target: str) -> None:
    """dpkg-deb -x follows it: tar takes what is in the folder already for its user's own."""
    away = str(outside) if target.startswith("/") else target
    unpack_deb(make_deb(outside.parent / "first.deb", [link("./a/way", away)]), entry)
    with pytest.raises(ArchiveError, match=r"'\./a/way/x' in it goes through a link"):
        unpack_deb(make_deb(outside.parent / "second.deb", [file("./a/way/x")]), entry)
    assert_untouched(outside)


def test_a_file_takes_a_links_place_and_does_not_go_through_it(entry: Path, outside: Path) -> None:
    unpack_deb(make_deb(outside.parent / "first.deb", [link("./a/x", outside / "kept")]), entry)
    unpack_deb(make_deb(outside.parent / "second.deb", [file("./a/x", b"mine")]), entry)
    assert (entry / "a/x").read_bytes() == b"mine"
    assert not (entry / "a/x").is_symlink()
    assert_untouched(outside)


def test_what_honest_packages_hold_is_unpacked_as_it_is(entry: Path, tmp_path: Path) -> None:
    deep = "./usr/" + "long-name/" * 12 + "file"
    members = [
        folder("./"),
        folder("./usr/"),
        file("./usr/program", b"#!", 0o4775),
        file("no-dot", b"", 0o444),
        file(deep, b"deep"),
        link("./lib/build", "/usr/src/tree"),
        link("./usr/lib/up", "../../../anywhere"),
        hard_link("./usr/again", "./usr/program"),
    ]
    unpack_deb(make_deb(tmp_path / "one.deb", members), entry)
    unpack_deb(make_deb(tmp_path / "two.deb", [file("./usr/more", b"more"), file("./usr/program", b"new")]), entry)
    assert (entry / deep).read_bytes() == b"deep"
    assert (entry / "usr/more").read_bytes() == b"more"
    assert [str((entry / name).readlink()) for name in ("lib/build", "usr/lib/up")] == [
        "/usr/src/tree",
        "../../../anywhere",
    ]
    again = (entry / "usr/again").stat()
    assert (entry / "usr/again").read_bytes() == b"#!"
    assert oct(again.st_mode & 0o7777) == "0o755", "no set-id bits, and nobody else may write"
    assert again.st_mtime == 1_000_000_000, "make goes by it"
    assert (entry / "no-dot").read_bytes() == b""


@pytest.mark.parametrize("cut", [10, 100, 300])
def test_a_damaged_package_is_told_as_such(entry: Path, tmp_path: Path, cut: int) -> None:
    deb = make_deb(tmp_path / "torn.deb", [file("./x", bytes(range(256)) * 100)])
    deb.write_bytes(deb.read_bytes()[:-cut])
    with pytest.raises(ArchiveError, match=r"torn\.deb is damaged"):
        unpack_deb(deb, entry)


def test_a_package_that_never_ends_is_refused(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.archives.debs._MOST_BYTES", 1000)
    deb = make_deb(tmp_path / "big.deb", [file(f"./{number}", b"x" * 400) for number in range(3)])
    with pytest.raises(ArchiveError, match="is too much"):
        unpack_deb(deb, entry)


def test_a_package_that_is_not_there_is_an_error_of_the_labs(entry: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        unpack_deb(tmp_path / "absent.deb", entry)
    assert not isinstance(caught.value, NoSpaceError)
