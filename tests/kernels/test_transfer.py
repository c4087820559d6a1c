"""Resolved kernels in another process: the very same ones, whatever the archive has by then."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.arches import AMD64
from lab.errors import ArchiveError, LabError, UnsupportedError
from lab.kernels.kernel import Choice
from lab.kernels.local.provider import LocalChoice
from lab.kernels.oci.provider import OciChoice
from lab.kernels.oci.registry import parse_reference
from lab.process import ProgramFailedError
from lab.store import Store
from tests.kernels.test_resolve import fill
from tests.support.fixtures import SUITES, Bench
from tests.support.kernels import add_debian_kernel


def transferred(bench: Bench, found: Choice | LabError) -> Choice | LabError:
    """What arrives in another process, which has another store object and other notices."""
    data = bench.kernels().pack([found])
    bench.store = Store(bench.folder / "store")
    (arrived,) = bench.kernels().unpack(data)
    return arrived


def test_a_kernel_stays_the_one_that_was_resolved_when_the_archive_has_a_newer_one(bench: Bench) -> None:
    fill(bench.archive)
    choice = bench.resolve("6.12")
    add_debian_kernel(bench.archive, "trixie-security", "6.12.999+deb13-cloud-amd64", "6.12.999-1")
    bench.archive.publish(*SUITES)
    assert bench.resolve("6.12").version == "6.12.999-1"
    arrived = transferred(bench, choice)
    assert not isinstance(arrived, LabError)
    kernel = arrived.fetch()
    assert (arrived.version, kernel.version, kernel.image.read_text()) == (
        "6.12.117-1",
        "6.12.117-1",
        f"image of {choice.release}\n",
    )


def test_a_stored_kernel_is_taken_and_the_archive_is_asked_nothing(bench: Bench) -> None:
    fill(bench.archive)
    choice = bench.resolve("6.12")
    choice.fetch()
    bench.served.asked.clear()
    arrived = transferred(bench, choice)
    assert not isinstance(arrived, LabError)
    assert arrived.fetch().key == choice.fetch().key
    assert bench.served.asked == []


def test_an_architecture_stays_the_one_of_its_process(bench: Bench) -> None:
    """It is compared by identity."""
    fill(bench.archive)
    kernels = bench.kernels()
    (arrived,) = kernels.unpack(kernels.pack([bench.resolve("6.12")]))
    assert not isinstance(arrived, LabError)
    assert arrived.fetch().arch is AMD64


def test_kernels_of_folders_and_registries_are_transferred_too(bench: Bench) -> None:
    there, here = bench.kernels(), bench.kernels()
    reference = parse_reference("oci:127.0.0.1:5000/a/kernel:1")
    store, told = there._store, there._notice
    found: list[Choice | LabError] = [
        LocalChoice("path:x", "6.1.1", "sha256:1", AMD64, store, Path("/x")),
        OciChoice("oci:x", "oci:x", "sha256:2", AMD64, reference, "sha256:2", (), store, told),
    ]
    here._store = Store(bench.folder / "other")
    local, image = here.unpack(there.pack(found))
    assert isinstance(local, LocalChoice)
    assert isinstance(image, OciChoice)
    assert (local.folder, local.version, local.store) == (Path("/x"), "sha256:1", here._store)
    assert (image.reference, image.digest, image.store) == (reference, "sha256:2", here._store)


@pytest.mark.parametrize(
    "error",
    [
        ArchiveError("the archive is silent", hint="wait", log=Path("/log")),
        UnsupportedError("not here"),
        ProgramFailedError("make failed", "its output", hint="read it"),
    ],
)
def test_an_error_stays_what_it_was(bench: Bench, error: LabError) -> None:
    arrived = transferred(bench, error)
    assert isinstance(arrived, LabError)
    assert type(arrived) is type(error)
    assert (str(arrived), vars(arrived), arrived.args) == (str(error), vars(error), error.args)
