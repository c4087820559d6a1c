"""How much tap's reader takes of a flood while it reads, in each mode; nothing of it goes uncounted."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from lab.machines.machine import PAYLOAD
from lab.matrix.provision import Lab
from tests.support.tap_guests import Guests, counters

OPENS = 20000
_LONG = 120.0


@pytest.mark.parametrize("mode", ["kmod", "bpf", "modern-bpf"])
def test_of_a_flood_every_event_is_delivered_or_counted(lab: Lab, mode: str, figures: list[str]) -> None:
    with ExitStack() as stack:
        deployment = Guests(lab, stack).alone(f"tap:{mode}")
        deployment.begin()
        before = counters(deployment)
        start = time.monotonic()
        # One on each of its two CPUs, with names of 40 bytes.
        flood = f"{PAYLOAD}/bin/tap_long_names {OPENS} 40"
        deployment.machine.run(["sh", "-c", f"{flood} & {flood}; wait"], deadline=_LONG)
        seconds = time.monotonic() - start
        after = counters(deployment)
    found = {name: after[name] - before[name] for name in after}
    assert found["offered"] >= 2 * OPENS - found["missed"]
    assert after["offered"] == after["delivered"] + after["dropped"]
    figures.append(
        f"tap:{mode}: {found['delivered'] / seconds:.0f} events/s delivered, {found['dropped']} dropped and "
        f"{found['missed']} missed of {found['offered']} in {seconds:.1f} s"
    )
