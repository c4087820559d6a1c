"""Offline: what is in the store runs, nobody is asked for anything, and what is lacking is named."""

from __future__ import annotations

import pytest

from lab.arches import AMD64
from lab.errors import ArchiveError
from lab.kernels.resolve import KernelSource
from tests.support.fixtures import SUITES, Bench
from tests.support.kernels import add_debian_kernel

CLOUD = "6.12.117+deb13-cloud-amd64"


def offline(bench: Bench) -> KernelSource:
    return bench.kernels(bench.settings().model_copy(update={"offline": True}))


@pytest.fixture
def filled(bench: Bench) -> Bench:
    """A bench whose store has the lists, and of two kernels one."""
    add_debian_kernel(bench.archive, "trixie", "6.12.107+deb13-cloud-amd64", "6.12.107-1")
    add_debian_kernel(bench.archive, "trixie-security", CLOUD, "6.12.117-1")
    bench.archive.publish(*SUITES)
    bench.resolve("6.12").fetch()
    bench.served.asked.clear()
    bench.notices.clear()
    return bench


def test_a_kernel_in_the_store_is_found_without_a_request_or_a_notice(filled: Bench) -> None:
    source = offline(filled)
    assert source.resolve("6.12", AMD64).fetch().release == CLOUD
    assert filled.served.asked == []
    assert filled.notices == []


def test_a_kernel_that_is_only_listed_is_named(filled: Bench) -> None:
    source = offline(filled)
    with pytest.raises(ArchiveError) as caught:
        source.resolve("6.12.107", AMD64).fetch()
    assert caught.value.what == "offline: linux-image-6.12.107+deb13-cloud-amd64 6.12.107-1 is not in the store"
    assert filled.served.asked == []


def test_an_empty_store_is_one_sentence(bench: Bench) -> None:
    with pytest.raises(ArchiveError, match="offline: the list of trixie for amd64 is not in the store"):
        offline(bench).resolve("6.12", AMD64)
    assert bench.served.asked == []


def test_a_suite_without_lists_is_left_out_with_a_notice(bench: Bench) -> None:
    add_debian_kernel(bench.archive, "trixie", "6.12.107+deb13-cloud-amd64", "6.12.107-1")
    bench.archive.publish("trixie")
    bench.kernels().resolve("6.12", AMD64)
    bench.notices.clear()
    assert offline(bench).resolve("6.12", AMD64).version == "6.12.107-1"
    assert bench.notices == ["offline: the list of trixie-security for amd64 is not in the store; going on without it"]
