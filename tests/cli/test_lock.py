"""`lab lock check` reads a lock file back to its user."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import lockfile
from lab.cli.main import main
from lab.errors import ExitCode
from lab.lockfile import Lock
from lab.store import Store
from tests.test_lockfile import RELEASE, kernel, lock


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))
    monkeypatch.setenv("LAB_STORE", str(tmp_path / "store"))
    return tmp_path


def test_what_is_locked_is_told_and_what_of_it_is_in_the_store(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = kernel("6.1").model_copy(update={"packages": kernel().packages * 2})
    lockfile.write(folder / "lab.lock", Lock(kernels=(kernel(), other), roots=lock().roots, sources=lock().sources))
    Store(folder / "store").get("kernel", kernel().inputs(), lambda _: {})
    assert main(["lock", "check"]) == ExitCode.OK
    named = f"{RELEASE} (6.12.117-1, debian:trixie-security) with its headers"
    assert capsys.readouterr().out.splitlines() == [
        f"kernel 6.1 amd64: {named}, not in the store",
        f"kernel 6.12 amd64: {named}, in the store",
        "image guest amd64: 2 packages of forky",
        "qemu x amd64: 2 packages of forky",
        "source falcosecurity-scap-dkms: 0.23.2-6 (forky)",
    ]


def test_a_lock_that_is_wrong_or_not_there_is_a_usage_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "check"]) == ExitCode.USAGE
    (folder / "other.lock").write_text('{"form": 3}')
    assert main(["lock", "check", "other.lock"]) == ExitCode.USAGE
    assert "other.lock: form:" in capsys.readouterr().err
