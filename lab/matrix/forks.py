"""Machines forked from the template of their cell, which is made when it is first needed."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.drivers.capture import Events
from lab.drivers.deploy import deploy, how_started, keeps_boot_time
from lab.errors import CommandTimeoutError, ConsumerError, LabError, LoadError, MachineLostError
from lab.machines import template as templates
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.machines.template import Template, TemplateError
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab, Prepared
from lab.store import Entry, file_digest, key_of

# What a guest or its driver may do wrong while it is made ready: a boot does it again, and then it is evidence.
_GUESTS_FAULT = (MachineLostError, LoadError, ConsumerError, CommandTimeoutError)
_DEADLINE = 10.0
# Time passes in it, by its clock and by its timer.
_TICK = 'read -r a b </proc/uptime; sleep 0.1; read -r c d </proc/uptime; [ "$a" != "$c" ]'


class NoTemplateError(LabError):
    """A cell's machine could not be made ready for being saved, through a fault of its own."""


class Forks:
    """Forks of one lab. Safe for several processes: a template is made once, under the store's lock."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._known: dict[Cell, Template | TemplateError | NoTemplateError] = {}

    def start(
        self, prepared: Prepared, purpose: str, made: Callable[[Machine], None], *, parallel: bool = False
    ) -> Fork:
        """A running fork of that cell, its driver loaded and its consumer running; `parallel` as MachineSpec has it.

        `made` is given each fork before it is started, and has it ended in the end, started or not.

        NoTemplateError when there can be none, because its guest or driver fails where a boot would show it.
        TemplateError when a template does not restore and a new one, made in its stead, does not either.
        """
        for again in (True, False):
            found = self.template(prepared)
            # A state has nothing of how QEMU runs its CPUs: one template serves both.
            spec = self._lab.spec(prepared)
            spec = replace(spec, parallel=True) if parallel else spec
            fork = Fork(found, spec, prepared.qemu, self._lab.settings.run_dir, purpose=purpose)
            made(fork)
            try:
                fork.start()
                return fork
            except TemplateError as error:
                if not again:
                    raise
                fork.end()
                self._lab.notice(f"{error.what}: it is made again")
                self._discard(prepared, found)
        raise AssertionError("unreachable")

    def template(self, prepared: Prepared) -> Template:
        """The cell's template, made now when it is not in the store; raises as `start` does."""
        known = self._known.get(prepared.cell)
        if known is None:
            try:
                known = self._fetch(prepared)
            except TemplateError as error:
                known = error
            except _GUESTS_FAULT as error:
                known = NoTemplateError(f"no template of {prepared.cell.slug}: {error.sentence}")
            self._known[prepared.cell] = known
        if isinstance(known, LabError):
            raise known
        return known

    def _fetch(self, prepared: Prepared) -> Template:
        inputs = self.inputs(prepared)
        key = key_of(inputs)
        entry = self._lab.store.get(templates.KIND, inputs, lambda folder: self._fill(prepared, key, folder))
        return _template(entry)

    def inputs(self, prepared: Prepared) -> dict[str, Any]:
        """Everything that the cell's template depends on."""
        driver: dict[str, Any] = {}
        if prepared.driver:
            of = prepared.driver.driver
            consumer = None if of.mute else of.consumer
            driver = {
                "build": prepared.driver.key,
                "mode": of.mode.model_dump(mode="json", exclude={"gaps", "sees"}),
                "adapter": file_digest(of.folder / consumer.adapter.partition(":")[0]) if consumer else "",
                "started": how_started(),
            }
        payload = self._lab.payload(prepared)
        more = {"image": prepared.image.key, "driver": driver}
        return templates.inputs(self._lab.spec(prepared), prepared.qemu, payload, **more)

    def _discard(self, prepared: Prepared, found: Template) -> None:
        del self._known[prepared.cell]
        with self._lab.store.lock(f"{templates.KIND}-{found.key}"):
            entry = self._lab.store.find(templates.KIND, self.inputs(prepared))
            # Another run may have met the same, and have made it again.
            if entry is not None and _template(entry).serial == found.serial:
                self._lab.store.discard(templates.KIND, found.key)

    def _fill(self, prepared: Prepared, key: str, folder: Path) -> dict[str, Any]:
        """Save a machine that restores into the folder: one that does not is thrown away, and made again once."""
        self._lab.notice(f"saving a template of {prepared.cell.slug}")
        for again in (True, False):
            try:
                return self._make(prepared, key, folder)
            except TemplateError as error:
                if not again:
                    what = f"no template of {prepared.cell.slug}: {error.what}"
                    raise TemplateError(what, hint="--vm boot does without") from error
                self._lab.notice(f"{error.what}: it is made again")
                for path in folder.iterdir():
                    path.unlink()
        raise AssertionError("unreachable")

    def _make(self, prepared: Prepared, key: str, folder: Path) -> dict[str, Any]:
        cut, clock = self._save(prepared, folder)
        saved = Template(key, folder, cut, clock=clock)
        try:
            self._prove(prepared, saved)
        except (TemplateError, *_GUESTS_FAULT) as error:
            raise TemplateError(f"the template does not restore ({error.what})") from error
        return {**prepared.versions(), "cut": cut, "clock": clock, "serial": secrets.token_hex(8)}

    def _save(self, prepared: Prepared, folder: Path) -> tuple[bool, int | None]:
        """Save a machine into the folder; returns a template's `cut` and `clock`."""
        clock = None
        spec = templates.savable(self._lab.spec(prepared), folder)
        with self._lab.machine(prepared, "template", spec) as machine:
            machine.start(anonymous=True)
            if prepared.driver:
                deployment = deploy(machine, prepared.driver)
                if not prepared.driver.driver.mute:
                    deployment.begin()
                if keeps_boot_time(prepared.driver.driver):
                    clock = deployment.clock()
            return templates.save(machine, folder), clock

    def _prove(self, prepared: Prepared, saved: Template) -> None:
        """Restore it once: it must answer, time must pass in it, and its driver's events must come, none lost."""
        spec = self._lab.spec(prepared)
        with Fork(saved, spec, prepared.qemu, self._lab.settings.run_dir, purpose="proof of a template") as fork:
            fork.start()
            with contextlib.ExitStack() as stack:
                seen = None
                if prepared.driver and not prepared.driver.driver.mute:
                    deployment = self._lab.deploy(fork, prepared)
                    seen = stack.enter_context(Events(deployment).capture())
                if fork.run(["sh", "-c", _TICK], check=False, deadline=_DEADLINE).status != 0:
                    raise MachineLostError("no time passes in the restored guest")
            # A driver that counts nothing has nothing to tell.
            if seen is not None and seen.counters is not None and seen.counters.drops:
                raise ConsumerError(f"events were lost while it was saved: {seen.counters}")


def started(
    lab: Lab,
    forks: Forks | None,
    prepared: Prepared,
    purpose: str,
    made: Callable[[Machine], None],
    *,
    parallel: bool = False,
) -> Machine:
    """A running machine of that cell, forked, or booted where there are no `forks`; `made` as `Forks.start` has it.

    A fork's driver is loaded (`Lab.deploy` knows). What fails on its way to a template is booted, so that it fails
    where its evidence is taken.
    """
    if forks is not None:
        try:
            return forks.start(prepared, purpose, made, parallel=parallel)
        except NoTemplateError as error:
            lab.notice(f"{error.what}: its machines are booted")
    spec = replace(lab.spec(prepared), parallel=True) if parallel else None
    machine = lab.machine(prepared, purpose, spec)
    made(machine)
    machine.start()
    return machine


def _template(entry: Entry) -> Template:
    made = entry.provenance
    return Template(entry.key, entry.files, bool(made["cut"]), str(made["serial"]), made.get("clock"))
