"""Machines in which tap is, in one build after another, and what is asked of them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lab import arches
from lab.drivers.capture import Capture, Events
from lab.drivers.deploy import Deployment
from lab.images.cpio import CpioFile
from lab.machines.machine import PAYLOAD, Machine
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab, Prepared

ACTORS = Path(__file__).with_name("actors")
FLOOD = 3000
_LONG = 60.0


class Guests:
    """One machine for each mode, until the stack is closed; in it, the build that was asked for last."""

    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        self._lab = lab
        self._stack = stack
        self._loaded: dict[str, Deployment] = {}

    def __call__(self, driver: str) -> Deployment:
        """`tap:MODE` or `tap+FAULT:MODE`, loaded."""
        mode = driver.partition(":")[2]
        prepared = self._prepare(driver)
        loaded = self._loaded.get(mode)
        if loaded is None:
            self._loaded[mode] = self.alone(driver)
        elif prepared.driver is not None and loaded.build.key != prepared.driver.key:
            loaded.unload()
            for file in (prepared.driver.files[word] for word in ("module", "object") if word in prepared.driver.files):
                loaded.machine.write(f"{PAYLOAD}/driver/{file.name}", file.read_bytes())
            self._loaded[mode] = Deployment(loaded.machine, prepared.driver)
            self._loaded[mode].load()
        return self._loaded[mode]

    def alone(self, driver: str) -> Deployment:
        """The same in a machine of its own, which may break."""
        prepared = self._prepare(driver)
        actors = {
            f"bin/{source.stem}": CpioFile(self._lab.program(source, arches.AMD64).read_bytes(), 0o755)
            for source in ACTORS.glob("tap_*.c")
        }
        payload = {**self._lab.payload(prepared), **actors}
        spec, run_dir = self._lab.spec(prepared), self._lab.settings.run_dir
        machine = self._stack.enter_context(Machine(spec, prepared.qemu, run_dir, payload=payload, purpose="test"))
        machine.start()
        return self._lab.deploy(machine, prepared)

    def _prepare(self, driver: str) -> Prepared:
        return self._lab.prepare(Cell(self._lab.settings.kernel, arches.AMD64, driver))


def act(deployment: Deployment, name: str, *words: str) -> tuple[dict[str, Any], Capture]:
    """Run an actor in a capture; what it printed, and what was captured."""
    deployment.machine.run(["rm", "-rf", "/work/tap"])
    with Events(deployment).capture() as seen:
        ran = deployment.machine.run([f"{PAYLOAD}/bin/{name}", *words], deadline=_LONG)
    return json.loads(ran.text), seen


def counters(deployment: Deployment) -> dict[str, int]:
    """The reader's own line, asked for as the lab asks."""
    assert deployment.counters() is not None
    lines = deployment.machine.run(["cat", f"{PAYLOAD}/consumer.said"]).text.splitlines()
    found: dict[str, int] = json.loads(lines[-1])
    return found


def flood(deployment: Deployment) -> tuple[dict[str, int], dict[str, int]]:
    """What the reader has counted before and after FLOOD opens that it slept through."""
    deployment.begin()
    before = counters(deployment)
    machine = deployment.machine
    pid = machine.run(["cat", f"{PAYLOAD}/consumer.pid"]).text.strip()
    machine.run(["kill", "-STOP", pid])
    try:
        machine.run([f"{PAYLOAD}/bin/tap_long_names", str(FLOOD), "4000"], deadline=_LONG)
    finally:
        machine.run(["kill", "-CONT", pid])
    return before, counters(deployment)
