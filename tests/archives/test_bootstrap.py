from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping
from datetime import timedelta

import pytest

from lab.arches import AMD64
from lab.archives.bootstrap import Exact, Extracted, RootRecipe, extract_root
from lab.errors import ArchiveError
from lab.settings import Settings
from tests.support.fixtures import SUITES, Bench
from tests.support.server import Fault


def extract(
    bench: Bench, settings: Settings, *packages: str, pins: Mapping[str, Exact] | None = None, into: str = "root"
) -> Extracted:
    root = bench.folder / into
    root.mkdir()
    recipe = RootRecipe(bench.sources(settings).family("trixie-security"), packages, AMD64)
    return extract_root(
        recipe, root, settings=settings, log=bench.folder / "log", notice=bench.notices.append, pins=pins or {}
    )


def test_a_root_holds_the_packages_and_nothing_of_the_host(bench: Bench) -> None:
    add = bench.archive.add
    add("trixie", "dash", "1:0.5-1", {"bin/dash": "#!", "usr/share/doc/dash/copyright": "x"}, "libmine (>= 1)")
    add("trixie", "libmine", "1.2-1", {"usr/lib/libmine.so": "", "usr/share/man/man1/x.1": ""})
    add("trixie-security", "libmine", "1.2-1+deb13u1", {"usr/lib/libmine.so": "fixed"})
    bench.archive.publish(*SUITES, valid_for=timedelta(days=-3))
    versions = extract(bench, bench.settings(allow_expired=True), "dash")
    root = bench.folder / "root"
    assert versions == {"dash": "1:0.5-1", "libmine": "1.2-1+deb13u1"}
    assert (root / "usr/bin/sh").readlink().name == "dash"
    assert {name: str((root / name).readlink()) for name in ("bin", "sbin", "lib", "lib64")} == {
        name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")
    }
    assert {path.name for path in root.iterdir()} >= {"proc", "dev", "sys", "run", "tmp", "root"}
    assert not any((root / "dev").iterdir())
    assert not (root / "usr/share/doc").exists()
    assert not (root / "usr/share/man").exists()
    assert not (root / "etc/apt").exists()
    kept = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in kept if socket.gethostname().encode() in path.read_bytes()]
    assert len(bench.notices) == len(SUITES)


def test_a_silent_archive_is_an_archive_error_with_the_log(bench: Bench) -> None:
    with pytest.raises(ArchiveError, match="cannot be reached") as caught:
        extract(bench, bench.settings(url="http://127.0.0.1:9"), "dash")
    assert caught.value.log == bench.folder / "log"


def test_what_is_half_updated_under_one_name_is_taken_by_the_other(bench: Bench) -> None:
    for name in ("trixie", "stable"):
        bench.archive.add(name, "dash", "1:0.5-1", {"bin/dash": name})
    bench.archive.publish(*SUITES, "stable")
    bench.served.spoil("*/trixie/*Packages.xz", Fault.WRONG)
    assert extract(bench, bench.settings(), "dash") == {"dash": "1:0.5-1"}
    assert (bench.folder / "root/usr/bin/dash").read_text() == "stable"
    assert "half updated" in bench.notices[0]
    assert "trying it as trixie-security, stable" in bench.notices[0]


def test_what_is_half_updated_under_both_names_is_told(bench: Bench) -> None:
    for name in ("trixie", "stable"):
        bench.archive.add(name, "dash", "1:0.5-1", {"bin/dash": name})
    bench.archive.publish(*SUITES, "stable")
    for name in ("trixie", "stable"):
        bench.served.spoil(f"*/{name}/*Packages.xz", Fault.WRONG)
    with pytest.raises(ArchiveError, match="half updated"):
        extract(bench, bench.settings(), "dash")


def test_an_unknown_package_is_named(bench: Bench) -> None:
    bench.archive.add("trixie-security", "other", "1", {})
    bench.archive.publish(*SUITES)
    with pytest.raises(ArchiveError, match="nonesuch"):
        extract(bench, bench.settings(), "nonesuch")


def pins_of(extracted: Extracted) -> dict[str, Exact]:
    return {name: Exact(version, extracted.digests[name]) for name, version in extracted.items()}


@pytest.fixture
def earlier(bench: Bench) -> dict[str, Exact]:
    """What an earlier extraction of dash got; since then the archive has newer packages beside those."""
    dash = bench.archive.add("trixie", "dash", "1:0.5-1", {"bin/dash": "old"}, "libmine (>= 1)")
    mine = bench.archive.add("trixie", "libmine", "1.2-1", {"usr/lib/libmine.so": "old"})
    bench.archive.publish(*SUITES)
    extracted = extract(bench, bench.settings(), "dash", into="earlier")
    assert extracted == {"dash": "1:0.5-1", "libmine": "1.2-1"}
    assert extracted.digests == {
        name: hashlib.sha256(deb.read_bytes()).hexdigest() for name, deb in (("dash", dash), ("libmine", mine))
    }
    bench.archive.add("trixie", "dash", "1:0.5-2", {"bin/dash": "new"}, "libmine (>= 1), libmore")
    bench.archive.add("trixie-security", "libmine", "1.2-1+deb13u1", {"usr/lib/libmine.so": "new"})
    bench.archive.add("trixie", "libmore", "1", {})
    bench.archive.publish(*SUITES)
    return pins_of(extracted)


def test_pinned_packages_are_taken_though_the_archive_has_newer_ones(bench: Bench, earlier: dict[str, Exact]) -> None:
    extracted = extract(bench, bench.settings(), "dash", pins=earlier)
    assert pins_of(extracted) == earlier
    assert (bench.folder / "root/usr/lib/libmine.so").read_text() == "old"
    assert set(extract(bench, bench.settings(), "dash", into="newest")) == {"dash", "libmine", "libmore"}


def test_pinned_packages_that_are_gone_are_all_named(bench: Bench, earlier: dict[str, Exact]) -> None:
    gone = {name: Exact(f"{pin.version}~0", pin.sha256) for name, pin in earlier.items()}
    with pytest.raises(ArchiveError) as caught:
        extract(bench, bench.settings(), "dash", pins=gone)
    assert "dash" in caught.value.what
    assert "libmine" in caught.value.what
    assert "lab.lock" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "pin", "words"),
    [
        ("dash", Exact("1:0.5-1", "0" * 64), "dash 1:0.5-1 is not the file that is pinned"),
        ("libmine", None, "libmine was extracted and is not pinned"),
    ],
)
def test_what_is_not_as_pinned_is_refused(
    bench: Bench, earlier: dict[str, Exact], name: str, pin: Exact | None, words: str
) -> None:
    pins = {**earlier, name: pin} if pin else {other: exact for other, exact in earlier.items() if other != name}
    with pytest.raises(ArchiveError, match=words):
        extract(bench, bench.settings(), "dash", pins=pins)


def test_offline_nothing_is_extracted_and_the_packages_are_named(bench: Bench) -> None:
    settings = bench.settings().model_copy(update={"offline": True})
    with pytest.raises(
        ArchiveError, match="offline: a root of trixie-security with dash is not in the store"
    ) as caught:
        extract(bench, settings, "dash")
    assert "--offline" in caught.value.hint
    assert not (bench.folder / "log").exists()
