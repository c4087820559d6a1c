"""`lab kernel` on served archives: what it lists, what it tells of a request, what it fetches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.cli import kernel as command
from lab.cli.context import notice
from lab.cli.main import main
from lab.errors import ExitCode
from lab.kernels.resolve import KernelSource
from tests.support.fixtures import DISTRIBUTIONS, SUITES, UBUNTU_SUITES, Bench, bench, key
from tests.support.kernels import add_debian_kernel, add_ubuntu_kernel

__all__ = ["bench", "key"]

CLOUD = "6.12.117+deb13-cloud-amd64"
UBUNTU = "5.15.0-113-generic"


@pytest.fixture(autouse=True)
def archives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    add_debian_kernel(bench.archive, "trixie-security", CLOUD, "6.12.117-1")
    add_debian_kernel(bench.archive, "trixie", "6.12.107+deb13-amd64", "6.12.107-1")
    add_debian_kernel(bench.archive, "trixie", "6.16.3-amd64", "6.16.3-1", headers=False)
    bench.archive.publish(*SUITES)
    for archive in (bench.ubuntu, bench.ports):
        add_ubuntu_kernel(archive, "jammy", UBUNTU, "5.15.0-113.123")
        archive.publish(*UBUNTU_SUITES)

    def source(settings: Any) -> KernelSource:
        sources = bench.sources(settings)
        return KernelSource(bench.store, settings, notice, sources=sources, distributions=DISTRIBUTIONS)

    # The command reads the environment; only the keyring and the short list of suites are the test's.
    monkeypatch.setattr(command, "_source", source)
    given = bench.settings()
    for name in ("store", "mirror", "security_mirror", "ubuntu_mirror", "ubuntu_ports_mirror", "ubuntu_keyring"):
        monkeypatch.setenv(f"LAB_{name.upper()}", str(getattr(given, name)))
    monkeypatch.chdir(bench.folder)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `lab kernel ...` and return what it printed."""

    def say(*argv: str, status: int = ExitCode.OK) -> str:
        assert main(["kernel", *argv]) == status
        said = capsys.readouterr()
        return said.out if status == ExitCode.OK else said.err

    return say


def rows(text: str) -> list[list[str]]:
    """The table's cells, by two spaces or more."""
    return [line.split() for line in text.splitlines()[1:]]


def test_the_list_has_the_newest_of_each_series_with_its_flavours(say: Callable[..., str]) -> None:
    assert rows(say("list", "--arch", "amd64")) == [
        ["6.16", "6.16.3", "6.16.3-amd64", "full", "trixie", "amd64", "no", "no"],
        ["6.12", "6.12.117", CLOUD, "cloud,", "full", "trixie-security", "amd64", "yes", "no"],
    ]


def test_the_list_of_everything_has_older_ones_and_other_flavours(say: Callable[..., str]) -> None:
    releases = [row[2] for row in rows(say("list", "--arch", "amd64", "--all"))]
    assert releases == ["6.16.3-amd64", CLOUD, "6.12.107+deb13-amd64"]


def test_a_program_gets_the_same_as_json(say: Callable[..., str]) -> None:
    say("fetch", "6.12", "--arch", "amd64")
    first, second = json.loads(say("list", "--arch", "amd64", "--json"))
    assert (first["stored"], second["stored"]) == (False, True)
    assert second["flavours"] == ["cloud", "full"]
    assert (second["version"], second["headers"], second["distro"]) == ("6.12.117-1", True, "debian")


def test_ubuntus_kernels_of_all_architectures(say: Callable[..., str]) -> None:
    listed = json.loads(say("list", "--distro", "ubuntu", "--arch", "all", "--json"))
    assert [(row["newest"], row["arch"]) for row in listed] == [("5.15.113", "amd64"), ("5.15.113", "arm64")]


def test_show_tells_what_a_request_means_before_and_after_it_is_fetched(say: Callable[..., str], bench: Bench) -> None:
    before = say("show", "5.15", "--arch", "amd64")
    assert bench.packages_asked() == []
    lines = [line.split(maxsplit=1) for line in before.splitlines()]
    assert ["release:", UBUNTU] in lines
    assert ["origin:", "ubuntu:jammy"] in lines
    assert "in store:  no" in before.splitlines()
    assert before.count(" sha256:") == 5
    assert "signed_by" not in before
    say("fetch", "5.15", "--arch", "amd64")
    assert f"signed_by: {bench.key.fingerprint}" in say("show", "5.15", "--arch", "amd64")


def test_show_names_the_headers_that_are_gone(say: Callable[..., str]) -> None:
    assert "headers:   the archive no longer has linux-headers-6.16.3-amd64" in say("show", "6.16", "--arch", "amd64")


def test_fetch_says_where_a_kernel_came_from_and_how_to_ask_for_it_again(say: Callable[..., str], bench: Bench) -> None:
    said = say("fetch", "6.12", "--arch", "amd64")
    for line in (
        f"release:   {CLOUD}",
        "origin:    debian:trixie-security",
        f"archive:   {bench.url}",
        f"signed_by: {bench.key.fingerprint}",
        "again:     debian/6.12.117-cloud",
    ):
        assert line in said.splitlines()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["show", "9.99"], "has no kernel 9.99"),
        (["show", "all"], "several"),
        (["fetch", "6.12.1"], "patches of 6.12: 107, 117"),
        (["list", "--arch", "sparc"], "unknown architecture"),
    ],
)
def test_what_does_not_exist_is_a_usage_error(say: Callable[..., str], argv: list[str], words: str) -> None:
    arch = [] if "--arch" in argv else ["--arch", "amd64"]
    assert words in say(*argv, *arch, status=ExitCode.USAGE)
