"""`lab driver`: what it lists, what it tells of a manifest, and a build whose output comes as it is made."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lab.cli.main import main
from lab.drivers.manifest import DRIVERS as OWN
from lab.errors import ExitCode
from tests.support.runs import DRIVERS


def say(capsys: pytest.CaptureFixture[str], *argv: str, status: int = ExitCode.OK) -> str:
    assert main(["driver", *argv]) == status
    said = capsys.readouterr()
    return said.out if status == ExitCode.OK else said.err


def test_every_mode_of_the_labs_drivers_is_listed_with_its_versions_and_kernels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = {line.split()[0]: line for line in say(capsys, "list").splitlines()[1:]}
    assert "falco:kmod" in rows
    assert "0.23.2 (default)" in rows["falco:kmod"]
    assert "riscv64 5.0+" in rows["falco:kmod"]
    assert "riscv64" not in rows["falco:bpf"]
    assert "a program is given" in rows["falco:modern-bpf"]


def test_show_tells_which_versions_events_can_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copytree(OWN / "falco", tmp_path, dirs_exist_ok=True)
    manifest = tmp_path / "driver.toml"
    older = manifest.read_text().replace('provides = { api = "8.0.3"', 'provides = { api = "8.0.1"')
    manifest.write_text(older)
    said = say(capsys, "show", str(manifest))
    assert re.search(r"version: +0\.23\.2 \(default\): its events are read", said)
    assert re.search(
        r"version: +0\.20\.0: falco 0\.20\.0 has api version 8\.0\.1, .* needs 8\.0\.3: its events cannot", said
    )


def test_show_of_one_mode_tells_of_that_mode(capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys, "show", "falco:bpf")
    assert "falco:bpf" in said
    assert "falco:kmod" not in said


def test_show_finds_a_manifest_by_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert "warns:kmod" in say(capsys, "show", str(DRIVERS / "warns" / "driver.toml"))


@pytest.mark.parametrize("argv", [("show", "falcon"), ("build", "falcon:kmod"), ("build", "falco:none")])
def test_what_there_is_not_is_answered_with_what_there_is(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    assert "kmod" in say(capsys, *argv, status=ExitCode.USAGE)


@pytest.mark.machine
def test_a_build_shows_the_compilers_output_and_then_comes_from_the_store(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "Makefile").write_text("obj-m := warns.o\n")
    # Of this test alone, so that nobody has built it.
    text = (DRIVERS / "warns" / "src" / "warns.c").read_text()
    (source / "warns.c").write_text(f"{text}/* {tmp_path} */\n")
    words = ["driver", "build", f"{DRIVERS}/warns/driver.toml:kmod", "--driver-src", str(source)]
    assert main(words) == ExitCode.OK
    first = capfdbinary.readouterr().out
    assert b"warns.o" in first
    assert first.splitlines()[-1].split() == [b"built:", b"now"]
    assert main(words) == ExitCode.OK
    again = capfdbinary.readouterr().out
    assert b"warns.o" not in again
    assert again.splitlines()[-1].split() == [b"built:", b"before:", b"from", b"the", b"store"]
    (source / "warns.c").write_text("broken\n")
    assert main(words) == ExitCode.CHECK_FAILED
    assert b"error:" in capfdbinary.readouterr().out
