"""Consumers that go by the time since boot, and an offset that they read once, are right in forks too."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lab import arches
from lab.drivers.capture import Events
from lab.drivers.deploy import deploy
from lab.machines import template as templates
from lab.machines.fork import Fork
from lab.machines.template import Template
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab, Prepared

AGE = 3 * 86400  # seconds that the template's clock is behind


def saved(lab: Lab, prepared: Prepared, folder: Path) -> Template:
    """A template whose clock says that it was saved days ago, the consumer running."""
    assert prepared.driver is not None
    with lab.machine(prepared, "test", templates.savable(lab.spec(prepared), folder)) as machine:
        machine.start(anonymous=True)
        machine.run(["date", "-s", f"@{int(time.time()) - AGE}"])
        deployment = deploy(machine, prepared.driver)
        clock = deployment.clock()
        return Template("of-the-test", folder, templates.save(machine, folder), clock=clock)


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["falco:bpf", "bpftrace:script"])
def test_events_of_a_fork_bear_the_hosts_time_whatever_its_consumer_read_at_its_start(
    lab: Lab, tmp_path: Path, driver: str
) -> None:
    prepared = lab.prepare(Cell(lab.settings.kernel, arches.AMD64, driver))
    template = saved(lab, prepared, tmp_path)
    with Fork(template, lab.spec(prepared), prepared.qemu, lab.settings.run_dir, purpose="test") as fork:
        fork.start()
        deployment = lab.deploy(fork, prepared)
        with Events(deployment).capture() as seen:
            begin = time.time()
            fork.run(["cat", "/etc/hostname"])
            end = time.time()
        opened = seen.one(type="openat", comm="cat", name="/etc/hostname")
        assert begin - 1 < opened.ts / 1e9 < end + 1
        assert template.clock is not None
        moved = deployment.clock() - template.clock
        assert AGE - 600 < moved / 1e9 < AGE + 600, "the consumer's own stamps cannot be seen to be off"
