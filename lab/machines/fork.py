"""Forks: machines that begin where a template was saved."""

from __future__ import annotations

from pathlib import Path

from lab.errors import MachineLostError
from lab.machines.identity import NOBODY
from lab.machines.machine import Machine
from lab.machines.qemu import Qemu
from lab.machines.spec import MachineSpec
from lab.machines.streams import Lines
from lab.machines.template import KIND, Template, TemplateError

RESTORE_DEADLINE = 10.0  # seconds on hardware


class Fork(Machine):
    """A machine that begins where its template was saved; all else is its own, from its clock to its host name."""

    def __init__(self, template: Template, spec: MachineSpec, qemu: Qemu, run_dir: Path, *, purpose: str) -> None:
        """Lay out a fork of `template`, `spec` being that of the machine which was saved."""
        super().__init__(template.spec(spec), qemu, run_dir, payload={}, purpose=purpose)
        self.template = template

    def start(self, deadline: float = RESTORE_DEADLINE, *, anonymous: bool = False) -> None:
        """Restore the guest and wait until it is ready for commands (deadline in seconds on hardware).

        TemplateError when the template cannot be restored; MachineLostError when it was, and its guest does not answer.
        """
        seconds = self.scaled(deadline)
        # Its own console begins where it does; what was printed before belongs to its evidence.
        (self.folder.path / "template-console.log").symlink_to(self.template.console)
        try:
            self._spawn()
            self.monitor.restore(self.template.state, seconds)
            self.monitor.execute("cont")
        except MachineLostError as error:
            raise TemplateError(
                f"template {self.template.key} cannot be restored: {error.what}; {self._qemu_said()}",
                hint=f"lab gc {KIND}/{self.template.key} removes it; --vm boot does without",
            ) from error
        self.agent.greet()
        self._wait_ready(seconds)
        self._renew(NOBODY if anonymous else self.host_name)

    def _lines(self) -> Lines:
        return Lines(self._socket_path("events"), "events", cut=self.template.cut)
