"""`lab bench` as a user starts it: real forks, boots and templates, and virtme-ng where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import arches
from lab.bench import virtme
from lab.cli.main import main
from lab.errors import ExitCode, HostError
from lab.matrix.provision import Lab

PARTS = ("qemu", "restore", "greeting", "identity", "command")


@pytest.fixture
def measure(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run it and return its JSON; nothing of it may stay in the store, nor a machine."""
    monkeypatch.setenv("LAB_RUN_DIR", str(tmp_path / "machines"))

    def run(*words: str) -> dict[str, Any]:
        output = tmp_path / "bench.json"
        assert main(["bench", "--json", str(output), *words]) == ExitCode.OK
        assert not (lab.store.root / "tmp" / "bench").exists()
        assert [path for path in (tmp_path / "machines").iterdir() if path.is_dir()] == []
        found: dict[str, Any] = json.loads(output.read_text())
        return found

    return run


@pytest.mark.slow
def test_a_fork_is_quicker_than_a_boot_to_the_same_point(measure: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = measure("--arch", "amd64", "--driver", "falco:kmod", "--repeat", "2")
    measured = found["measured"]
    assert {len(one["samples"]) for one in measured.values()} == {2}
    assert 0 < measured["fork"]["median"] < measured["boot"]["median"]
    assert found["ratios"]["boot/fork"]["value"] > 1
    for number, whole in enumerate(measured["fork"]["samples"]):
        assert whole == pytest.approx(sum(measured[f"fork.{part}"]["samples"][number] for part in PARTS))
    assert 0 < measured["save"]["median"] < measured["template"]["median"]
    # It wrote to its memory, and not to all of it.
    assert 10 < measured["memory.private"]["median"] < measured["memory.resident"]["median"] < 1500
    assert "virtme" not in measured
    load = found["load"]
    assert len(load["rounds"]) == 2
    assert load["during"]["own"] > 0.01, "guests ran"
    versions = found["versions"]
    assert (versions["cell"], versions["virtme-ng"]) == ("6.12-amd64-falco:kmod", None)
    assert versions["kernel"]["release"].startswith("6.12.")
    assert found["guest"]["acceleration"] in ("tcg", "kvm")
    said = capsys.readouterr()
    assert "fork, to the first command's exit code" in said.out
    assert "note: 2 of 2: fork " in said.err


@pytest.mark.parametrize(
    ("driver", "status"),
    [("tap:kmod", ExitCode.OK), pytest.param("tap+silent-drop:kmod", 1, marks=pytest.mark.slow)],
)
def test_a_flood_is_accounted_for_to_the_last_event_or_the_driver_is_found_out(
    tmp_path: Path, driver: str, status: int
) -> None:
    output = tmp_path / "floods.json"
    words = ["--arch", "amd64", "--driver", driver, "--events", "20000", "--repeat", "1", "--json", str(output)]
    assert main(["bench", *words]) == status
    close, opened = json.loads(output.read_text())["floods"]
    assert (close["kind"], opened["kind"]) == ("close", "open")
    for flood in (close, opened):
        assert 0 < flood["alone"] < flood["seconds"] < flood["until"]
        assert flood["delivered"] <= flood["made"] == 20000
    # 20,000 events of a call without memory are more than a ring of 1 MiB holds, and come quicker than they are read.
    assert close["delivered"] < 20000
    assert (close["dropped"] == 0) is (close["silent"] > 0) is (driver == "tap+silent-drop:kmod")


def test_virtme_ng_runs_the_same_kernel(measure: Any) -> None:
    try:
        installed = virtme.find(arches.host())
    except HostError as error:
        pytest.skip(f"{error.what}: {error.hint}")
    before = sorted(Path("/lib/modules").glob("*"))
    found = measure("--kernel", "6.12-full", "--driver", "falco:kmod", "--repeat", "1", "--virtme")
    assert found["versions"]["virtme-ng"] == installed.version
    assert found["measured"]["virtme"]["median"] > found["measured"]["fork"]["median"]
    assert found["ratios"]["virtme/fork"]["value"] > 1
    assert sorted(Path("/lib/modules").glob("*")) == before, "the host's own modules are nobody's business"
