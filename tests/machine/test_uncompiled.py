"""A driver that needs no compiling runs on kernels whose headers are in no archive any more."""

from __future__ import annotations

from pathlib import Path

from tests.support.runs import DRIVERS, ROOT, Place

SCENARIO = """
import pytest
from lab.scenario import altered, missing

OPENED = {"type": "openat", "comm": "cat", "name": "/etc/hostname"}

@pytest.mark.controls(missing(**OPENED), altered("name", **OPENED))
def test_an_open_is_seen(machine, events):
    with events.capture() as seen:
        machine.run(["cat", "/etc/hostname"])
    names = [event["name"] for event in seen.all(type="openat", comm="cat")]
    assert b"/etc/hostname" in names, f"no openat with name '/etc/hostname' among {names}"
"""
# Debian's archive has the image of this series and no headers: trixie-backports keeps them for its newest only.
KERNEL = "6.17"


def test_it_runs_where_a_module_is_unsupported(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "test_own.py").write_text(SCENARIO)
    mine = f"{(DRIVERS / 'kprobe' / 'driver.toml').relative_to(ROOT)}:trace"
    done = place.run(
        place.pytest(str(tmp_path / "test_own.py"), "--kernel", KERNEL, "--driver", f"{mine},falco:kmod", "-rs")
    )
    assert "1 passed, 1 skipped" in done.stdout, done.stdout
    assert "no longer has linux-headers-6.17" in done.stdout
    assert done.returncode == 1, "a cell in which nothing could run was asked for"
