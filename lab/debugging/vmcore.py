"""Dumps opened with drgn: tasks, stacks, variables of the kernel and its modules, in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drgn
from drgn.helpers.linux.pid import find_task, for_each_task

from lab.debugging.debuginfo import demand_same_build
from lab.debugging.dump import Dump, DumpError, note_fields

_MOST_TASKS = 100_000


@dataclass(frozen=True)
class Task:
    """A task in a dump; `state` is one letter, as ps has it."""

    pid: int
    comm: str
    state: str
    cpu: int


class Vmcore:
    """An opened dump. `program` is drgn's own object, for all that is not here."""

    def __init__(self, dump: Dump, vmlinux: Path, modules: Sequence[Path] = ()) -> None:
        """`modules` are module files with debug information.

        WrongSymbolsError when `vmlinux` is of another build, DumpError when drgn cannot make sense of the dump.
        """
        if dump.vmcoreinfo is None:
            what = "the dump does not tell which kernel it is of: its kernel keeps no note for dumps"
            raise DumpError(what, hint="a kernel with CONFIG_CRASH_DUMP")
        note = dump.vmcoreinfo.read_bytes()
        demand_same_build(vmlinux, note_fields(note).get("BUILD-ID", ""), "kernel")
        try:
            self.program = drgn.Program(vmcoreinfo=note)
            self.program.set_core_dump(str(dump.memory))
            loaded = [str(path) for path in (vmlinux, *modules)]
            self.program.load_debug_info(loaded)
        except (drgn.MissingDebugInfoError, drgn.FaultError, LookupError, ValueError, OSError) as error:
            raise DumpError(f"the dump cannot be opened: {error}") from error

    @property
    def release(self) -> str:
        """The kernel's, as the dump itself says it."""
        return str(self.program["init_uts_ns"].name.release.string_().decode(errors="replace"))

    def tasks(self) -> list[Task]:
        """All tasks."""
        found: list[Task] = []
        for task in for_each_task(self.program):
            if len(found) >= _MOST_TASKS:
                break
            found.append(self._task(task))
        return found

    def _task(self, task: Any) -> Task:
        from drgn.helpers.linux.sched import task_cpu, task_state_to_char  # noqa: PLC0415 - slow to import

        comm = task.comm.string_().decode(errors="replace")
        return Task(task.pid.value_(), comm, str(task_state_to_char(task)), int(task_cpu(task)))

    def stack(self, pid: int) -> list[str]:
        """The kernel stack of a task, innermost function first; DumpError when there is no such task."""
        task = find_task(self.program, pid)
        if not task:
            raise DumpError(f"there is no task {pid} in the dump")
        return self._frames(task)

    def crashed(self) -> list[str]:
        """The stack of the thread that crashed, as far as the dump tells; DumpError when nothing did."""
        try:
            return self._frames(self.program.crashed_thread().object)
        except (ValueError, LookupError) as error:
            raise DumpError(f"the dump does not say what crashed: {error}") from error

    def _frames(self, task: Any) -> list[str]:
        try:
            trace = self.program.stack_trace(task)
        except (drgn.FaultError, LookupError, ValueError) as error:
            raise DumpError(f"the stack cannot be followed: {error}") from error
        return [str(frame).partition(" ")[2].strip() or str(frame) for frame in trace]

    def variable(self, name: str, file: str | None = None) -> Any:
        """A variable's value as plain Python, a structure as a dict; DumpError when there is none of that name."""
        try:
            return self.program.variable(name, file).value_()
        except (LookupError, drgn.FaultError, TypeError) as error:
            raise DumpError(f"variable {name} cannot be read: {error}") from error

    def log(self) -> str:
        """The kernel's log as it lay in memory."""
        from drgn.helpers.linux.printk import get_dmesg  # noqa: PLC0415 - slow to import

        return bytes(get_dmesg(self.program)).decode(errors="replace")
