"""lab.lock, written and gone by for real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab import lockfile
from tests.support.runs import Place

LAB = Path(sys.executable).with_name("lab")


@pytest.mark.slow
def test_a_run_goes_by_the_lock_that_was_written(tmp_path: Path) -> None:
    place = Place(tmp_path, {"LAB_LOCK_FILE": str(tmp_path / "lab.lock")})
    done = place.run([str(LAB), "lock", "--kernel", "6.12", "--driver", "falco:kmod"])
    assert done.returncode == 0, done.stdout
    lock = lockfile.read(tmp_path / "lab.lock")
    (kernel,) = lock.kernels
    assert {root.kind for root in lock.roots} == {"builder", "image", "qemu"}
    assert [source.name for source in lock.sources] == ["falcosecurity-scap-dkms"]
    checked = place.run([str(LAB), "lock", "check"])
    assert f"kernel 6.12 amd64: {kernel.release}" in checked.stdout
    # Everything that was locked is there: nothing has to be asked for.
    ran = place.run([str(LAB), "run", "--offline", "--kernel", "6.12", "--driver", "falco:kmod", "--", "uname", "-r"])
    assert ran.stdout.splitlines()[-1] == kernel.release, ran.stdout
