"""lab.lock says exactly what runs were made from, in a form that reads well and cannot be misread."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from lab import lockfile
from lab.archives.bootstrap import Exact
from lab.archives.failures import GoneError
from lab.archives.stanzas import Package
from lab.errors import ArchiveError, ExitCode, HostError, RequestError
from lab.lockfile import Lock, LockedFile, LockedHeaders, LockedKernel, LockedPackage, LockedRoot

RELEASE = "6.12.117+deb13-cloud-amd64"


def package(name: str, version: str = "6.12.117-1", **fields: Any) -> LockedPackage:
    filename = f"pool/main/l/linux/{name}_{version.replace(':', '%3a')}_amd64.deb"
    values = {"arch": "amd64", "suite": "trixie-security", "sha256": "a" * 64, "size": 5, "filename": filename}
    return LockedPackage(name=name, version=version, **{**values, **fields})


def kernel(request: str = "6.12", arch: str = "amd64") -> LockedKernel:
    headers = LockedHeaders(
        packages=(package(f"linux-headers-{RELEASE}"), package("linux-headers-6.12.117+deb13-common", arch="all")),
        kbuild=package("linux-kbuild-6.12.117+deb13", depends="libc6 (>= 2.34), libelf1t64 (>= 0.144)"),
        suite="trixie-security",
        compiler="gcc-14",
        tree=f"linux-headers-{RELEASE}",
    )
    return LockedKernel(
        request=request,
        arch=arch,
        release=RELEASE,
        version="6.12.117-1",
        series="6.12",
        patch=117,
        flavour="cloud",
        origin="debian:trixie-security",
        signed_by="B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
        packages=(package(f"linux-image-{RELEASE}"),),
        headers=headers,
    )


def root(kind: Any = "image", name: str = "guest", wanted: tuple[str, ...] = ("dash", "busybox-static")) -> LockedRoot:
    packages = {
        "dash": LockedFile(version="0.5.12-12", sha256="b" * 64),
        "busybox-static": LockedFile(version="1:1.38.0-3+b1", sha256="c" * 64),
    }
    return LockedRoot(kind=kind, name=name, arch="amd64", suite="forky", wanted=wanted, packages=packages)


def lock() -> Lock:
    source = package("falcosecurity-scap-dkms", "0.23.2-6", suite="forky", arch="all")
    return Lock(kernels=(kernel("6.12"), kernel("5.10")), roots=(root("qemu", "x"), root()), sources=(source,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab.lock"


def altered(path: Path, *steps: str | int, value: Any) -> None:
    """Write a good lock with one value replaced, or removed where it is ..."""
    content = json.loads(lockfile.render(lock()))
    place = content
    for step in steps[:-1]:
        place = place[step]
    if value is ...:
        del place[steps[-1]]
    else:
        place[steps[-1]] = value
    path.write_text(json.dumps(content))


def test_what_is_written_is_read_again(path: Path) -> None:
    lockfile.write(path, lock())
    found = lockfile.read(path)
    assert set(found.kernels) == set(lock().kernels)
    assert found.sources == lock().sources
    assert lockfile.render(found) == path.read_text()
    assert [other.name for other in path.parent.iterdir()] == ["lab.lock"]


def test_the_text_does_not_depend_on_the_order_it_was_put_together_in() -> None:
    packages = dict(reversed(root().packages.items()))
    turned = root(wanted=("busybox-static", "dash")).model_copy(update={"packages": packages})
    other = Lock(kernels=lock().kernels[::-1], roots=(turned, root("qemu", "x")), sources=lock().sources)
    assert lockfile.render(other) == lockfile.render(lock())


def test_a_new_version_is_one_line_of_a_diff() -> None:
    newer = root().model_copy(
        update={"packages": {**root().packages, "dash": LockedFile(version="2", sha256="d" * 64)}}
    )
    before = lockfile.render(lock()).splitlines()
    after = lockfile.render(lock().model_copy(update={"roots": (root("qemu", "x"), newer)})).splitlines()
    assert len(before) == len(after)
    changed = [line for old, line in zip(before, after, strict=True) if old != line]
    assert changed == ['    "dash": {"version": "2", "sha256": "' + "d" * 64 + '"}']


def test_no_archives_address_stands_in_it() -> None:
    assert "://" not in lockfile.render(lock())


@pytest.mark.parametrize(
    ("steps", "value", "words"),
    [
        (("kernels", 0, "packages", 0, "sha256"), "A" * 64, "kernels.0.packages.0.sha256"),
        (("kernels", 0, "packages", 0, "size"), "5", "kernels.0.packages.0.size"),
        (("kernels", 0, "packages", 0, "version"), ..., "kernels.0.packages.0.version"),
        (("kernels", 0, "packages"), [], "kernels.0.packages"),
        (("kernels", 0, "colour"), "red", "kernels.0.colour"),
        (("kernels", 0, "headers", "kbuild"), ..., "kernels.0.headers.kbuild"),
        (("roots", 0, "packages", "dash", "sha256"), "b", "roots.0.packages.dash.sha256"),
        (("roots", 0, "packages", "--help"), {"version": "1", "sha256": "b" * 64}, "roots.0.packages.--help"),
        (("roots", 0, "kind"), "kernel", "roots.0.kind"),
        (("sources", 0, "filename"), "pool/../../x.deb", "sources.0.filename"),
        (("sources", 0, "filename"), "/etc/x.deb", "sources.0.filename"),
        (("sources", 0, "filename"), "http://a.example/x.deb", "sources.0.filename"),
        (("sources", 0, "filename"), "pool/x.deb\n", "sources.0.filename"),
        (("sources", 0, "version"), "1,evil", "sources.0.version"),
        (("sources", 0, "name"), "x y", "sources.0.name"),
        (("form",), 2, "form"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(path: Path, steps: tuple[str | int, ...], value: Any, words: str) -> None:
    altered(path, *steps, value=value)
    with pytest.raises(RequestError) as caught:
        lockfile.read(path)
    assert f"{path}: {words}" in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null", b'{"form": 1, "form2": 1}'])
def test_what_is_no_lock_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"lab\.lock"):
        lockfile.read(path)


def test_a_lock_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(RequestError, match=r"there is no .*lab\.lock"):
        lockfile.read(path)
    path.mkdir()
    with pytest.raises(RequestError, match="cannot be read"):
        lockfile.read(path)


def test_a_lock_without_end_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lockfile.write(path, lock())
    monkeypatch.setattr(lockfile, "_MOST_BYTES", 100)
    with pytest.raises(RequestError, match="is larger than"):
        lockfile.read(path)


@pytest.mark.parametrize("name", ["kernels", "roots", "sources"])
def test_nothing_is_locked_twice(path: Path, name: str) -> None:
    content = json.loads(lockfile.render(lock()))
    content[name].append(content[name][0])
    path.write_text(json.dumps(content))
    with pytest.raises(RequestError, match=f"{name} has .* twice"):
        lockfile.read(path)


def test_records_are_found_by_what_was_asked_for() -> None:
    found = lock()
    assert found.kernel("6.12", "amd64") == kernel("6.12")
    assert found.kernel("6.12", "arm64") is None
    assert found.root("image", "guest", "amd64", "forky", ["busybox-static", "dash"]) == root()
    assert found.root("image", "guest", "amd64", "forky", ["busybox-static", "dash", "sysdig"]) is None
    assert found.root("builder", "guest", "amd64", "forky", ["busybox-static", "dash"]) is None
    assert found.source("falcosecurity-scap-dkms", "forky") is not None
    assert found.source("falcosecurity-scap-dkms", "sid") is None


def test_a_locked_package_is_the_package_of_the_list() -> None:
    listed = Package("dash", "0.5-1", "amd64", "e" * 64, 7, "pool/d/dash_0.5-1_amd64.deb", "libc6", "sid")
    assert LockedPackage.of(listed).package() == listed


def test_a_root_gives_its_pins() -> None:
    assert root().pins()["dash"] == Exact("0.5.12-12", "b" * 64)


def test_packages_that_are_gone_are_all_named_in_one_sentence(tmp_path: Path) -> None:
    def download(wanted: Package) -> Path:
        if wanted.name != "here":
            raise GoneError("gone")
        return tmp_path / wanted.name

    assert lockfile.fetch([package("here")], download) == [tmp_path / "here"]
    with pytest.raises(ArchiveError) as caught:
        lockfile.fetch([package("one"), package("here"), package("two", "2-1")], download)
    assert caught.value.what == "the archive has no more what lab.lock names: one 6.12.117-1, two 2-1"
    assert caught.value.hint


def test_an_archive_that_is_silent_is_not_called_gone() -> None:
    def download(_: Package) -> Path:
        raise ArchiveError("the archive cannot be reached")

    with pytest.raises(ArchiveError, match="cannot be reached"):
        lockfile.fetch([package("one")], download)


def test_who_reads_while_it_is_written_gets_a_whole_lock(path: Path) -> None:
    lockfile.write(path, lock())
    done = threading.Event()

    def rewrite() -> None:
        for _ in range(30):
            lockfile.write(path, lock())
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    reads = 0
    while not done.is_set():
        assert len(lockfile.read(path).kernels) == 2
        reads += 1
    writer.join(10)
    assert reads > 0


def _full(_: int) -> None:
    raise OSError(28, "full")


def test_a_lock_that_cannot_be_written_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lockfile.write(path, lock())
    before = path.read_text()
    monkeypatch.setattr("os.fsync", _full)
    with pytest.raises(HostError, match=r"lab\.lock cannot be written: full"):
        lockfile.write(path, Lock())
    assert path.read_text() == before
    assert [other.name for other in path.parent.iterdir()] == ["lab.lock"]
