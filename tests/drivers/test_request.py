"""A driver is asked for by name, version, options and mode, with what the user has of it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lab.arches import AMD64, ARM64, Arch
from lab.drivers.artifact import demand_fitting
from lab.drivers.manifest import Given, find_driver, find_drivers, fits
from lab.errors import RequestError, UnsupportedError
from lab.kernels.kernel import Kernel
from lab.settings import Settings

RELOCATABLE, EXECUTABLE = b"\x01\x00", b"\x02\x00"
MANIFEST = """
name = "mine"
description = "a test"
[modes.kmod]
source = { package = "mine-dkms", suite = "forky", folder = "usr/src/mine-*" }
build = "kbuild"
module = "mine"
load = [["insmod", "{module}"]]
check = []
unload = [["rmmod", "mine"]]
minimum_kernel = { amd64 = "5.4" }
[modes.kmod.consumer]
command = ["reader"]
adapter = "adapter.py:Mine"
sentinel = ["openat"]
packages = ["reader"]
suite = "forky"
needs = { api = "8.0.2", schema = "4.0.0" }
[modes.kmod.options.wrong]
defines = ["WRONG", "HOW=2"]
[modes.kmod.options.slow]
defines = ["SLOW"]
flags = ["-fslowly"]
[modes.given]
build = "none"
load = []
check = []
unload = []
minimum_kernel = { amd64 = "5.8" }
[modes.given.artifact]
describe = "a reader with the engine"
needs_text = "the-engine"
lacks = "the engine"
[modes.given.artifact.kinds.first]
text = "first reader"
[modes.given.artifact.kinds.second]
text = "second reader"
consumer = { command = ["{artifact}", "--json"] }
[modes.given.consumer]
command = ["{artifact}"]
adapter = "adapter.py:Mine"
sentinel = ["openat"]
[versions."2.0"]
default = true
provides = { api = "8.0.4", schema = "4.1.0" }
[versions."1.0"]
provides = { api = "8.0.4", schema = "3.5.0" }
source = { suite = "trixie" }
[versions.old]
provides = { api = "1.0.0" }
source = { suite = "bookworm" }
consumer = { suite = "bookworm", needs = { api = "1.0.0" } }
modes.kmod.minimum_kernel = { arm64 = "4.0" }
"""
HEADER = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00"
PROGRAM = HEADER + b"\x3e\x00" + b"\0second reader\0the-engine\0"  # EM_X86_64


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "driver.toml").write_text(MANIFEST)
    return f"{tmp_path}/driver.toml"


def given(folder: Path, data: bytes) -> Given:
    (folder / "reader").write_bytes(data)
    return Given(artifacts={"mine:given": folder / "reader"})


def test_without_a_version_the_default_is_taken(path: str) -> None:
    driver = find_driver(f"{path}:kmod")
    assert (driver.version, driver.name, driver.mute, driver.defines) == ("2.0", "mine:kmod", "", ())
    assert driver.mode.source is not None
    assert driver.mode.source.suite == "forky"


def test_a_version_has_its_own_source_consumer_and_minimum(path: str) -> None:
    driver = find_driver(f"{path}@old:kmod")
    assert driver.mode.source is not None
    assert (driver.mode.source.suite, driver.mode.source.package) == ("bookworm", "mine-dkms")
    assert (driver.consumer.suite, driver.consumer.command) == ("bookworm", ("reader",))
    assert driver.mode.minimum_kernel == {"arm64": "4.0"}
    assert driver.name == "mine@old:kmod"


def test_a_version_that_its_consumer_cannot_read_is_unsupported_with_both_versions(path: str) -> None:
    driver = find_driver(f"{path}@1.0:kmod")
    assert driver.mute == (
        "mine 1.0 has schema version 3.5.0, and its consumer (reader of forky) needs 4.0.0: its events cannot be read"
    )
    with pytest.raises(UnsupportedError, match=r"3\.5\.0.*4\.0\.0"):
        _ = driver.consumer


@pytest.mark.parametrize(
    ("provided", "needed", "fit"),
    [
        ("8.0.4", "8.0.4", True),
        ("8.1.0", "8.0.4", True),
        ("8.0.3", "8.0.4", False),
        ("9.0.4", "8.0.4", False),
        ("7.9.9", "8.0.0", False),
    ],
)
def test_interfaces_fit_with_the_same_major_and_the_rest_at_least(provided: str, needed: str, fit: bool) -> None:
    assert fits(provided, needed) is fit


def test_options_are_given_to_the_compiler_and_make_another_driver(path: str) -> None:
    driver = find_driver(f"{path}@1.0+wrong+slow:kmod")
    assert driver.defines == ("-DWRONG", "-DHOW=2", "-DSLOW", "-fslowly")
    assert driver.name == "mine@1.0+wrong+slow:kmod"


@pytest.mark.parametrize(
    ("behind", "what", "there"),
    [
        ("@3.0:kmod", "version '3.0'", "it has: 2.0, 1.0, old"),
        ("+right:kmod", "option 'right'", "it has: wrong, slow"),
        ("+wrong:given", "option 'wrong'", "it has no options"),
        ("@1.0:bpf", "mode 'bpf'", "it has: kmod, given"),
    ],
)
def test_what_a_driver_does_not_have_is_answered_with_what_it_has(
    path: str, behind: str, what: str, there: str
) -> None:
    with pytest.raises(RequestError, match=f"has no {what}") as caught:
        find_driver(path + behind)
    assert caught.value.hint == there


def test_all_is_every_mode_that_needs_nothing_from_the_user(path: str) -> None:
    assert "falco:kmod" in find_drivers("all")
    assert find_drivers(f"{path}:all,{path}:given") == [f"{path}:kmod", f"{path}:given"]
    assert find_drivers(f"{path}@1.0:all") == [f"{path}@1.0:kmod"]
    assert find_drivers("a:b, c:d,a:b") == ["a:b", "c:d"]


def test_a_program_that_is_not_given_is_asked_for(path: str) -> None:
    with pytest.raises(RequestError, match="needs a program that you give it: a reader with the engine") as caught:
        find_driver(f"{path}:given", Given())
    assert caught.value.hint == "--artifact mine:given=PATH"


def test_a_programs_kind_decides_how_it_is_run(path: str, tmp_path: Path) -> None:
    driver = find_driver(f"{path}:given", given(tmp_path, PROGRAM))
    assert driver.artifact == tmp_path / "reader"
    assert driver.consumer.command == ("{artifact}", "--json")
    first = find_driver(f"{path}:given", given(tmp_path, PROGRAM.replace(b"second", b"first")))
    assert first.consumer.command == ("{artifact}",)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cannot be read"),
        (b"#!/bin/sh\n", "is no program: it is not in the ELF format"),
        (PROGRAM.replace(b"the-engine", b""), "lacks the engine, which mine:given needs"),
        (PROGRAM.replace(b"second", b""), "none of the programs that mine:given knows: first, second"),
    ],
)
def test_a_program_that_is_not_what_is_needed_is_refused_in_a_sentence(
    path: str, tmp_path: Path, data: bytes, why: str
) -> None:
    with pytest.raises(RequestError, match=why):
        find_driver(f"{path}:given", given(tmp_path, data))


def test_a_program_that_is_not_there_is_named(path: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere cannot be read"):
        find_driver(f"{path}:given", Given(artifacts={"mine:given": tmp_path / "nowhere"}))


def test_a_program_for_another_architecture_is_unsupported(tmp_path: Path) -> None:
    (tmp_path / "reader").write_bytes(PROGRAM)
    demand_fitting(tmp_path / "reader", kernel(AMD64), "mine:given")
    with pytest.raises(UnsupportedError, match="given to mine:given is for amd64, and the guest is arm64"):
        demand_fitting(tmp_path / "reader", kernel(ARM64), "mine:given")


def kernel(arch: Arch) -> Kernel:
    return cast(Kernel, SimpleNamespace(arch=arch, release="6.12.1"))


@pytest.mark.parametrize(
    ("release", "kind", "fits"),
    [
        (b"6.12.1", RELOCATABLE, True),
        (b"5.10.9", RELOCATABLE, False),
        (b"6.12.10", RELOCATABLE, False),
        # modinfo holds the word too, and is for every kernel.
        (b"5.10.9", EXECUTABLE, True),
    ],
)
def test_a_module_for_another_kernel_is_unsupported(tmp_path: Path, release: bytes, kind: bytes, fits: bool) -> None:
    data = PROGRAM[:16] + kind + PROGRAM[18:] + b"\0vermagic=" + release + b" SMP preempt \0"
    (tmp_path / "mine.ko").write_bytes(data)
    why = rf"was built for kernel {release.decode()}, and the guest's is 6\.12\.1: .*mine\.ko"
    with contextlib.nullcontext() if fits else pytest.raises(UnsupportedError, match=why):
        demand_fitting(tmp_path / "mine.ko", kernel(AMD64), "mine:given")


def test_a_tree_of_the_users_takes_the_sources_place(path: str, tmp_path: Path) -> None:
    own = Given(source=tmp_path)
    driver = find_driver(f"{path}@1.0:kmod", own)
    assert driver.source == tmp_path
    assert driver.mute == "", "nobody knows its interfaces before its consumer says"
    assert own.words() == ["--driver-src", str(tmp_path)]


def test_what_is_given_stands_in_the_settings(tmp_path: Path) -> None:
    made = Given.of(Settings(driver_src=tmp_path, artifact=(f"a:b={tmp_path}/x=y",)))
    assert (made.source, made.artifacts) == (tmp_path, {"a:b": tmp_path / "x=y"})
    with pytest.raises(RequestError, match="not written as NAME:MODE=PATH"):
        Given.of(Settings(artifact=("/just/a/path",)))
