"""Manifests are found by name or path, and what is wrong with one is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.drivers.gaps import Gap
from lab.drivers.manifest import DRIVERS, find_driver
from lab.drivers.parse import read_manifest
from lab.drivers.schema import (
    Artifact,
    ArtifactKind,
    Consumer,
    Mode,
    Option,
    Program,
    Source,
    Version,
)
from lab.errors import RequestError

MANIFEST = """
name = "my-driver"
description = "a test"
[modes.kmod]
source = { folder = "src" }
build = "kbuild"
module = "mine"
load = [["insmod", "{module}"]]
check = []
unload = [["rmmod", "mine"]]
minimum_kernel = { amd64 = "5.4" }
[modes.kmod.consumer]
command = ["cat", "/dev/mine"]
adapter = "adapter.py:Mine"
sentinel = ["openat"]
"""
ADAPTER = """
class Mine:
    def event(self, line): return None
    def counters(self, said): return None
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "driver.toml").write_text(MANIFEST)
    (tmp_path / "adapter.py").write_text(ADAPTER)
    return tmp_path


def change(folder: Path, old: str, new: str) -> Path:
    path = folder / "driver.toml"
    path.write_text(MANIFEST.replace(old, new))
    return path


@pytest.mark.parametrize("path", sorted(DRIVERS.glob("*/driver.toml")), ids=lambda path: path.parent.name)
def test_every_driver_of_the_labs_can_be_read_with_its_adapters(path: Path) -> None:
    manifest = read_manifest(path)
    assert manifest.name == path.parent.name
    for mode in manifest.modes:
        assert find_driver(f"{manifest.name}:{mode}").adapter()


def test_the_documented_example_is_a_manifest(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", (DRIVERS.parent / "docs" / "drivers.md").read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "driver.toml").write_text(example[1])
    manifest = read_manifest(tmp_path / "driver.toml")
    assert set(manifest.modes) == {"kmod", "bpf", "tool"}
    models = (Source, Program, Consumer, Option, Gap, Mode, Artifact, ArtifactKind, Version)
    keys = {key for model in models for key in model.model_fields}
    unsaid = {key for key in keys if not re.search(rf"\b{key}\b", example[1])}
    assert unsaid == set(), "each key is shown or spoken of"


def test_a_driver_of_the_labs_is_found_by_its_name() -> None:
    driver = find_driver("falco:kmod")
    assert (driver.name, driver.mode_name, driver.folder) == ("falco:kmod", "kmod", DRIVERS / "falco")


def test_a_driver_of_somebody_elses_is_found_by_its_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    driver = find_driver("./driver.toml:kmod")
    assert (driver.name, driver.folder, driver.mode.module) == ("my-driver:kmod", folder, "mine")
    assert driver.consumer.sentinel_param == "name"
    assert driver.adapter().event(b"") is None


@pytest.mark.parametrize("request_text", ["falco", "", "kmod"])
def test_a_driver_without_a_mode_is_told_how_to_write_it(request_text: str) -> None:
    with pytest.raises(RequestError, match="names no mode") as caught:
        find_driver(request_text)
    assert "falco:kmod" in caught.value.hint


@pytest.mark.parametrize(
    ("request_text", "why"),
    [
        ("falcon:kmod", "unknown driver 'falcon'"),
        ("/no/such/driver.toml:kmod", "there is no manifest /no/such/driver.toml"),
        ("../etc:kmod", "unknown driver"),
    ],
)
def test_an_unknown_driver_is_answered_with_those_there_are(request_text: str, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        find_driver(request_text)
    assert "falco:kmod" in caught.value.hint


@pytest.mark.parametrize("mode", ["bpf2", "", " kmod"])
def test_an_unknown_mode_is_answered_with_those_there_are(folder: Path, mode: str) -> None:
    with pytest.raises(RequestError, match="has no mode") as caught:
        find_driver(f"{folder}/driver.toml:{mode}")
    assert caught.value.hint == "it has: kmod"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('module = "mine"\n', "", "modes.kmod"),
        ('build = "kbuild"', 'build = "cmake"', "modes.kmod.build"),
        ('name = "my-driver"', "name = 1", "name"),
        ("check = []", 'check = "true"', "modes.kmod.check"),
        ("check = []", "check = []\nspelled = 1", "modes.kmod.spelled"),
        ("adapter.py:Mine", "adapter.py", "modes.kmod.consumer.adapter"),
        ('build = "kbuild"', 'build = "none"', "modes.kmod"),
        ('build = "kbuild"', 'build = "co-re"', "modes.kmod"),
        ("check = []", "check = []\nartifact = { describe = 'a program' }", "modes.kmod"),
        ('load = [["insmod", "{module}"]]', "load = []", "modes.kmod"),
        ('"/dev/mine"', '"{object}"', "modes.kmod"),
        ('"/dev/mine"', '"{program}"', "modes.kmod"),
        ('"openat"]', '"openat"]\ncounters = "USR2"', "modes.kmod.consumer.counters"),
        ('"openat"]', '"openat"]\nclock = "monotonic"', "modes.kmod.consumer.clock"),
        ('"openat"]', '"openat"]\nneeds = { api = "1.0" }', "modes.kmod.consumer.needs.api"),
        ('"openat"]', '"openat"]\n[modes.kmod.options."a+b"]\ndefines = ["X"]', "modes.kmod.options.a+b.[key]"),
        ('"openat"]', '"openat"]\n[modes.kmod.options.ab]\ndefines = ["-rf"]', "modes.kmod.options.ab.defines.0"),
        ('"openat"]', '"openat"]\n[modes.kmod.options.ab]\nflags = ["-o/x"]', "modes.kmod.options.ab.flags.0"),
        ('"openat"]', '"openat"]\n[modes.kmod.options.ab]\ndescription = "x"', "modes.kmod.options.ab"),
        ('"openat"]', '"openat"]\n[[modes.kmod.gaps]]\nwhy = "it is"', "modes.kmod.gaps.0"),
        ('"openat"]', '"openat"]\n[[modes.kmod.gaps]]\nmodes = ["kmod"]\nevent = "a"\nwhy = "x"', "modes.kmod"),
        ('"openat"]', '"openat"]\n[[gaps]]\nmodes = ["bpf"]\nevent = "a"\nwhy = "x"', "the whole"),
        ('"openat"]', '"openat"]\n[versions.1]\n', "the whole"),
        ('"openat"]', '"openat"]\n[versions.1]\ndefault = true\nmodes.bpf = {}', "the whole"),
        ('"openat"]', '"openat"]\n[versions.1]\ndefault = true\nmodes.kmod.x = 1', "versions.1.modes.kmod.x"),
        (
            '"openat"]',
            '"openat"]\n[versions.1]\ndefault = true\nconsumer.adapter = "a"',
            "versions.1.modes.kmod.consumer.adapter",
        ),
        ('folder = "src"', 'folder = "src", foldr = 1', "modes.kmod.source.foldr"),
    ],
)
def test_a_wrong_key_is_named(folder: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_manifest(change(folder, old, new))
    assert f"driver.toml: {key}: " in caught.value.what


@pytest.mark.parametrize(
    ("old", "new", "key", "hint"),
    [
        ('build = "kbuild"', 'biuld = "kbuild"', "modes.kmod.biuld", "write build"),
        ("sentinel = ", "sentinels = ", "modes.kmod.consumer.sentinels", "write sentinel"),
        ("check = []", "check = []\nzzz = 1", "modes.kmod.zzz", "docs/drivers.md shows every key"),
    ],
)
def test_a_misspelt_key_is_told_as_such_and_not_as_a_missing_one(
    folder: Path, old: str, new: str, key: str, hint: str
) -> None:
    with pytest.raises(RequestError) as caught:
        read_manifest(change(folder, old, new))
    assert caught.value.what.endswith(f"driver.toml: {key}: there is no such key")
    assert caught.value.hint == hint


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_a_manifest_that_is_no_toml_is_named(folder: Path, content: bytes) -> None:
    (folder / "driver.toml").write_bytes(content)
    with pytest.raises(RequestError, match=r"driver\.toml cannot be read"):
        find_driver(f"{folder}/driver.toml:kmod")


@pytest.mark.parametrize(
    ("old", "new"), [("py:Mine", "py:Other"), ("adapter.py", "absent.py"), ("adapter.py", "a.txt")]
)
def test_an_adapter_that_is_not_there_is_named(folder: Path, old: str, new: str) -> None:
    (folder / "a.txt").touch()
    driver = find_driver(f"{change(folder, old, new)}:kmod")
    with pytest.raises(RequestError, match="adapter"):
        driver.adapter()


@pytest.mark.parametrize("source", ["class Mine(", "import no_such_module", "1 / 0", "undefined", "raise ValueError"])
def test_an_adapter_that_cannot_be_run_is_named_not_raised(folder: Path, source: str) -> None:
    (folder / "adapter.py").write_text(source)
    with pytest.raises(RequestError, match=r"adapter\.py cannot be loaded"):
        find_driver(f"{folder}/driver.toml:kmod").adapter()


def test_two_deployments_share_no_adapter(folder: Path) -> None:
    driver = find_driver(f"{folder}/driver.toml:kmod")
    assert driver.adapter() is not driver.adapter()


SHARED = """"openat"]
[[modes.kmod.gaps]]
event = "own"
why = "of this mode"
[[gaps]]
event = "all"
why = "of every mode"
[[gaps]]
modes = ["kmod"]
event = "some"
why = "of some modes"
[versions.1]
default = true
[versions.2]
modes.kmod.gaps = [{ event = "other", why = "of this version alone" }]
"""


def test_gaps_of_several_modes_are_each_ones_but_where_a_version_has_its_own(folder: Path) -> None:
    manifest = read_manifest(change(folder, '"openat"]', SHARED))
    events = {version: [gap.event for gap in manifest.mode("kmod", version).gaps] for version in ("1", "2")}
    assert events == {"1": [("own",), ("all",), ("some",)], "2": [("other",)]}


def test_long_words_of_a_consumers_command_stand_once(folder: Path) -> None:
    path = change(folder, "command = [", 'command = ["{fields}", "-x{fields}", ')
    path.write_text('words = { fields = "%a {b}" }\n' + path.read_text())
    consumer = read_manifest(path).mode("kmod").consumer
    assert consumer is not None
    assert consumer.command[:2] == ("%a {b}", "-x%a {b}")
