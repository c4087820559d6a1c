"""A kernel all the way from an archive in Ubuntu's layout into a guest: from one that is made here, whatever this host
reaches, and from the real one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import settings
from lab.arches import AMD64
from lab.archives.failures import UnavailableError
from lab.archives.suites import DEBIAN, UBUNTU
from lab.errors import ArchiveError
from lab.kernels.kernel import HeaderPackages, Kernel
from lab.kernels.resolve import KernelSource
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab, Prepared
from lab.settings import Settings
from lab.store import Store
from tests.support.archive import Archive, Key
from tests.support.fixtures import key
from tests.support.kernels import Files, add_ubuntu_kernel
from tests.support.server import serve

__all__ = ["key"]

SUITES = ("jammy", "jammy-updates")
# Ubuntu's name for a kernel that is Debian's within: uname will tell.
RELEASE = "6.12.0-117-generic"
VERSION = "6.12.0-117.127"


@pytest.fixture
def made(bare: Prepared, key: Key, tmp_path: Path) -> Iterator[Settings]:
    """Settings that lead to an archive whose one kernel is the default kernel, packed and named as Ubuntu does."""
    kernel = bare.kernel
    assert kernel.config is not None
    archive = Archive(tmp_path / "ubuntu", key, "amd64", "Ubuntu", ("main", "universe"), "gz", by_hash=True)
    files = Files(kernel.image, kernel.config, kernel.modules)
    add_ubuntu_kernel(archive, "jammy-updates", RELEASE, VERSION, files=files)
    archive.publish(*SUITES)
    with serve(tmp_path) as served:
        mirror = {"ubuntu_mirror": f"{served.url}/ubuntu", "ubuntu_keyring": archive.key.keyring}
        yield settings.load().model_copy(update=mirror)


def test_a_kernel_of_an_archive_in_ubuntus_layout_is_verified_unpacked_and_boots(
    made: Settings, bare: Prepared, tmp_path: Path
) -> None:
    lab = Lab(made, lambda _: None)
    # Kernels and lists of this test must not get into the user's store; the guest's image and QEMU come out of it.
    ubuntu = replace(UBUNTU, suites=SUITES)
    lab.kernels = KernelSource(Store(tmp_path / "store"), made, lambda _: None, distributions=(DEBIAN, ubuntu))
    prepared = lab.prepare(Cell("ubuntu/6.12", AMD64, ""))
    kernel = prepared.kernel
    assert (kernel.release, kernel.version, kernel.origin) == (RELEASE, VERSION, "ubuntu:jammy-updates")
    assert kernel.provenance["archive"] == made.ubuntu_mirror
    assert str(tmp_path) in str(kernel.image)
    assert boot(lab, prepared) == bare.kernel.release


def test_the_real_5_15_boots_and_can_be_compiled_for(lab: Lab) -> None:
    try:
        prepared = lab.prepare(Cell("5.15", AMD64, ""))
    except ArchiveError as error:
        if isinstance(error, UnavailableError) or "cannot be reached" in error.what:
            pytest.skip(f"Ubuntu's archive cannot be reached from here: {error.what}")
        raise
    kernel: Kernel = prepared.kernel
    assert re.fullmatch(r"5\.15\.0-\d+-generic", kernel.release)
    assert kernel.origin.startswith("ubuntu:jammy")
    assert kernel.option("KGDB") == "y"
    assert isinstance(kernel.headers, HeaderPackages)
    assert kernel.headers.compiler == "gcc-11"
    assert boot(lab, prepared) == kernel.release


def boot(lab: Lab, prepared: Prepared) -> str:
    """What uname -r says in a guest."""
    with lab.machine(prepared, "test") as machine:
        machine.start()
        return machine.run(["uname", "-r"]).text.strip()
