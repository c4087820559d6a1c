from __future__ import annotations

import socket
from datetime import timedelta

import pytest

from lab.arches import AMD64
from lab.archives.bootstrap import RootRecipe, extract_root
from lab.errors import ArchiveError
from lab.settings import Settings
from tests.support.fixtures import SUITES, Bench


def extract(bench: Bench, settings: Settings, *packages: str) -> dict[str, str]:
    root = bench.folder / "root"
    root.mkdir()
    recipe = RootRecipe(bench.sources(settings).family("trixie-security"), packages, AMD64)
    return extract_root(recipe, root, settings=settings, log=bench.folder / "log", notice=bench.notices.append)


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


def test_an_unknown_package_is_named(bench: Bench) -> None:
    bench.archive.add("trixie-security", "other", "1", {})
    bench.archive.publish(*SUITES)
    with pytest.raises(ArchiveError, match="nonesuch"):
        extract(bench, bench.settings(), "nonesuch")
