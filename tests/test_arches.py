"""Architectures are found by Debian's names and by uname's."""

from __future__ import annotations

import platform

import pytest

from lab import arches
from lab.errors import RequestError


@pytest.mark.parametrize("arch", arches.ARCHES, ids=lambda arch: arch.name)
def test_an_architecture_is_found_by_both_its_names(arch: arches.Arch) -> None:
    assert arches.find(arch.name) is arch
    assert arches.find(arch.machine) is arch


@pytest.mark.parametrize("name", ["", "sparc", "AMD64", "amd64 ", "amd64,amd64"])
def test_an_unknown_architecture_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(RequestError, match="amd64") as caught:
        arches.find(name)
    assert repr(name) in caught.value.what


def test_names_are_not_shared() -> None:
    names = [name for arch in arches.ARCHES for name in {arch.name, arch.machine}]
    assert len(names) == len(set(names))


def test_the_hosts_own_is_what_uname_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert arches.host() is arches.AMD64


def test_a_host_of_another_architecture_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(RequestError, match="s390x"):
        arches.host()


def test_emulated_amd64_has_no_cx16() -> None:
    """With it, one boot in eight dies (docs/decisions.md)."""
    assert "-cx16" in arches.AMD64.tcg_cpu.split(",")


def test_all_is_every_architecture_and_each_is_chosen_once() -> None:
    assert arches.find_all(["all"]) == list(arches.ARCHES)
    assert arches.find_all(["arm64", "x86_64", "amd64", "all"]) == [arches.ARM64, arches.AMD64, arches.RISCV64]
