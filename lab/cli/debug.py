"""`lab debug`: gdb on a fresh guest, with the kernel's and the driver's symbols where they are; drgn on a dump."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import click

from lab import arches
from lab.cli.context import BeforeDashes, Wanted, behind_dashes, guest, guest_options, notice
from lab.cli.shell import converse
from lab.debugging.debuginfo import DebugInfo, DebugSource
from lab.debugging.dump import dump_in
from lab.debugging.gdbprogram import Gdb, named_gdb, own_gdb
from lab.debugging.kdb import demand_kgdb
from lab.debugging.kgdb import enter_kgdb
from lab.debugging.recording import Recordable, recorded
from lab.debugging.replay import replayed
from lab.debugging.session import Debuggee, Start, gdb_commands, gdb_script, read_notes
from lab.debugging.stub import open_stub
from lab.debugging.symbols import read_symbols
from lab.errors import RequestError
from lab.machines.machine import Machine
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab, Prepared
from lab.process import interact, run
from lab.settings import Settings

_TMUX_DEADLINE = 10.0


@click.command("debug", cls=BeforeDashes, options_metavar="[OPTIONS]")
@click.argument(
    "bundle",
    metavar="[BUNDLE] [-- COMMAND...]",
    required=False,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@guest_options
@click.option("--break", "breaks", multiple=True, metavar="FUNCTION", help="Stop at NAME or MODULE:NAME; repeatable.")
@click.option("--gdb", "program", default="", metavar="PROGRAM", help="A gdb of the host, instead of the lab's own.")
@click.option("--fetch", is_flag=True, help="Fetch the kernel's debug information when it is not there yet.")
@click.option("--kgdb", "by_kgdb", is_flag=True, help="By the kernel's own debugger, over a serial line of its own.")
@click.option("--rr", "by_replay", is_flag=True, help="Record a boot and COMMAND in it, then debug it backwards.")
@click.pass_obj
def debug(
    settings: Settings, /, bundle: Path | None, wanted: Wanted, by_kgdb: bool, by_replay: bool, **more: Any
) -> int:
    """Debug a fresh guest with gdb; in tmux its shell is in this pane and gdb in another, else gdb is alone.

    With BUNDLE, a failure's folder: open the dump in it with drgn. With --rr the guest runs COMMAND once and is
    recorded; gdb then stands at the end of that, or where the kernel crashed, and goes back from there.
    """
    if bundle is not None and (by_kgdb or by_replay):
        raise click.UsageError("--kgdb and --rr are for a guest that runs, not for a BUNDLE")
    if by_kgdb and by_replay:
        raise click.UsageError("--kgdb or --rr: a recording is debugged from outside")
    if behind_dashes() and not by_replay:
        raise click.UsageError("a command is for --rr, which records it")
    if bundle is not None:
        return _open_dump(settings, bundle)
    session = _Session.of(settings, **more)
    if by_replay:
        return session.replay(wanted, behind_dashes() or ("true",))
    return session.kgdb(wanted) if by_kgdb else session.stub(wanted)


@dataclass(frozen=True)
class _Session:
    """What gdb is started with."""

    lab: Lab
    gdb: Gdb
    breaks: tuple[str, ...]
    fetch: bool

    @classmethod
    def of(cls, settings: Settings, breaks: tuple[str, ...], program: str, fetch: bool) -> Self:
        """First of all, because what is missing is better said before a guest is booted."""
        lab = Lab(settings, notice)
        return cls(lab, named_gdb(program) if program else own_gdb(lab.store, settings, notice), breaks, fetch)

    def stub(self, wanted: Wanted) -> int:
        """By QEMU's stub."""
        with guest(self.lab.settings, wanted, "lab debug") as (machine, prepared), _stub(machine, prepared) as stub:
            commands = gdb_script(self._debuggee(machine, prepared), Start(stub, self.breaks), notice)
            return _work(machine, self.gdb, commands)

    def kgdb(self, wanted: Wanted) -> int:
        """By the kernel's own."""
        prepared = self.lab.prepare(wanted.cell(self.lab.settings))
        demand_kgdb(prepared.kernel)
        spec = replace(self.lab.spec(prepared), debug_line=True)
        with self.lab.machine(prepared, "lab debug --kgdb", spec) as machine:
            machine.start()
            if prepared.driver:
                self.lab.deploy(machine, prepared)
            notice(f"kernel {prepared.kernel.release}; the guest and all in it end with the debugger")
            notice(
                f"Ctrl-C does not stop it: lab exec {machine.folder.name} -- sh -c 'echo g >/proc/sysrq-trigger' does"
            )
            # Nothing to stop at is to stay where it stands.
            start = Start(machine.debug_line, self.breaks, go="continue" if self.breaks else "", kgdb=True)
            commands = gdb_script(self._debuggee(machine, prepared), start, notice)
            return _work(machine, self.gdb, commands, before=lambda: enter_kgdb(machine))

    def replay(self, wanted: Wanted, command: Sequence[str]) -> int:
        """By replaying what was recorded."""
        # Another boot of the same kernel: what is recorded has no channel for all its symbols.
        with guest(self.lab.settings, replace(wanted, driver=""), "lab debug --rr, symbols") as (machine, _):
            symbols, notes = read_symbols(machine), read_notes(machine)
        for name in self.breaks:
            if ":" not in name:
                symbols.address(name)
        prepared = self.lab.prepare(wanted.cell(self.lab.settings))
        run = Recordable(
            spec=self.lab.spec(prepared),
            qemu=prepared.qemu,
            payload=self.lab.payload(prepared),
            driver=prepared.driver,
            command=tuple(command),
            run_dir=self.lab.settings.run_dir,
            symbols=symbols,
            notes=notes,
        )
        notice(f"recording kernel {prepared.kernel.release} on one CPU; Ctrl-C ends the recording")
        with recorded(run, notice) as recording, replayed(recording, notice) as replay:
            info, module = self._info(prepared), _debug_module(prepared)
            crashed = recording.crash_functions() if recording.crashed else ()
            breaks = (*self.breaks, *crashed)
            with open_stub(replay) as stub:
                start = Start(stub, breaks, go="reverse-continue" if breaks else "")
                arch, folder = prepared.cell.arch, replay.folder.path
                text = gdb_commands(recording.told, info, module, start, arch, folder, notice)
                (folder / "gdb-commands").write_text(text)
                return interact(_words(self.gdb, folder / "gdb-commands"), env=dict(self.gdb.environment))

    def _debuggee(self, machine: Machine, prepared: Prepared) -> Debuggee:
        return Debuggee(machine, self._info(prepared), _debug_module(prepared))

    def _info(self, prepared: Prepared) -> DebugInfo | None:
        source = DebugSource(self.lab.store, self.lab.settings, notice)
        info = source.fetch(prepared.kernel) if self.fetch else source.find(prepared.kernel)
        if info is None:
            notice("lab debug --fetch fetches the kernel's debug information, where its archive has it")
        return info


@contextlib.contextmanager
def _stub(machine: Machine, prepared: Prepared) -> Iterator[Path]:
    notice(f"kernel {prepared.kernel.release}; the guest and all in it end with the debugger")
    with open_stub(machine) as path:
        yield path


def _work(machine: Machine, gdb: Gdb, commands: Path, *, before: Callable[[], None] = lambda: None) -> int:
    """gdb beside the guest's shell in tmux, else gdb in the foreground; `before` stops the guest, if gdb does not."""
    words = _words(gdb, commands)
    environment = dict(gdb.environment)
    if "TMUX" not in os.environ or not sys.stdin.isatty():
        before()
        return interact(words, env=environment)
    # Before the guest is stopped: its server has to answer once.
    machine.shell()
    before()
    line = shlex.join(["env", *(f"{name}={value}" for name, value in environment.items()), *words])
    run(["tmux", "split-window", "-h", line], deadline=_TMUX_DEADLINE)
    converse(machine, sys.stdin.fileno(), sys.stdout.fileno())
    return 0


def _words(gdb: Gdb, commands: Path) -> list[str]:
    return [*gdb.command, "-q", "-x", str(commands)]


def _debug_module(prepared: Prepared) -> Path | None:
    """The driver's module with debug information, which its build keeps."""
    driver = prepared.driver
    path = driver.module.with_name("debug.ko") if driver and driver.module else None
    return path if path and path.is_file() else None


def _open_dump(settings: Settings, bundle: Path) -> int:
    """drgn on the dump of a bundle, the kernel's and the driver's debug information loaded."""
    from lab.debugging.vmcore import Vmcore  # noqa: PLC0415 - drgn takes half a second

    dump = dump_in(bundle)
    lab = Lab(settings, notice)
    cell = _cell_of(bundle)
    kernel = lab.kernels.resolve(cell.kernel, cell.arch).fetch()
    info = DebugSource(lab.store, settings, notice).fetch(kernel)
    module = _debug_module(lab.prepare(cell)) if cell.driver else None
    core = Vmcore(dump, info.vmlinux, [module] if module else [])
    if not sys.stdin.isatty():
        exec(sys.stdin.read(), {"prog": core.program, "core": core})  # noqa: S102 - the user's own commands
        return 0
    from drgn.cli import run_interactive  # noqa: PLC0415

    run_interactive(core.program, globals_func=lambda names: {**names, "core": core})
    return 0


def _cell_of(bundle: Path) -> Cell:
    """The cell that a bundle is of, out of the command in it that runs it again."""
    try:
        words = shlex.split((bundle / "rerun").read_text()[:4096])
        options = dict(itertools.pairwise(words))
        return Cell(options["--kernel"], arches.find(options["--arch"]), options.get("--driver", ""))
    except (OSError, ValueError, KeyError) as error:
        raise RequestError(f"{bundle} is no bundle: {error}", hint="lab debug DIR, as a failure names it") from error
