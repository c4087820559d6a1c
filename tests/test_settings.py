"""Settings come from the environment before lab.toml before defaults, and what is wrong is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import ExitCode, RequestError
from lab.settings import load


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert (settings.kernel, settings.accel, settings.cpus) == ("6.12", "auto", 2)
    assert settings.run_dir.name == f"lab-{os.getuid()}"
    assert settings.store.is_absolute()


def test_a_file_overrides_defaults_and_the_environment_overrides_the_file(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text('kernel = "5.10"\ncpus = 3\n')
    settings = load({"LAB_KERNEL": "6.1"}, tmp_path)
    assert (settings.kernel, settings.cpus) == ("6.1", 3)


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert load({"LAB_KERNEL": "", "LAB_CPUS": ""}, tmp_path) == load({}, tmp_path)


@pytest.mark.parametrize(("word", "meant"), [("1", True), ("true", True), ("0", False), ("no", False)])
def test_switches_are_written_as_people_write_them(tmp_path: Path, word: str, meant: bool) -> None:
    assert load({"LAB_ALLOW_EXPIRED": word}, tmp_path).allow_expired is meant


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CPUS", "0"),
        ("CPUS", "65"),
        ("CPUS", "two"),
        ("MEMORY_MIB", "255"),
        ("ACCEL", "hvf"),
        ("ACCEL", "kvm\n"),
        ("CATALOG_HOURS", "-1"),
        ("CATALOG_HOURS", "nan"),
        ("ALLOW_EXPIRED", "perhaps"),
        ("MIN_FREE_MIB", "-5"),
    ],
)
def test_a_wrong_variable_is_named_in_the_error(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        load({f"LAB_{name}": value}, tmp_path)
    assert name.lower() in caught.value.what
    assert f"LAB_{name}" in caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_word_in_the_file_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text('kernal = "5.10"\n')
    with pytest.raises(RequestError, match="kernal"):
        load({}, tmp_path)


@pytest.mark.parametrize("content", [b"kernel = ", b"kernel = '\xff'", b"\x00"], ids=["torn", "no text", "binary"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lab.toml").write_bytes(content)
    with pytest.raises(RequestError, match=r"lab\.toml cannot be read"):
        load({}, tmp_path)


def test_a_folder_in_the_files_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").mkdir()
    with pytest.raises(RequestError, match=r"lab\.toml cannot be read"):
        load({}, tmp_path)


@pytest.mark.parametrize("name", ["store", "run_dir"])
def test_folders_are_absolute_and_know_the_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Programs are run in other folders: a relative path would be another one there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert getattr(load({f"LAB_{name.upper()}": "~/x"}, tmp_path), name) == tmp_path / "home" / "x"
    assert getattr(load({f"LAB_{name.upper()}": "x"}, tmp_path), name) == tmp_path / "x"


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load({}, tmp_path).cpus = 4  # type: ignore[misc]
