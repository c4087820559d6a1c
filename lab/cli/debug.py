"""`lab debug`: gdb on a fresh guest, with the kernel's and the driver's symbols where they are; drgn on a dump."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from lab import arches
from lab.cli.context import Wanted, guest, guest_options, notice
from lab.cli.shell import converse
from lab.debugging.debuginfo import DebugSource
from lab.debugging.dump import dump_in
from lab.debugging.gdbprogram import Gdb, named_gdb, own_gdb
from lab.debugging.session import Debuggee, gdb_script
from lab.debugging.stub import open_stub
from lab.errors import RequestError
from lab.machines.machine import Machine
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab, Prepared
from lab.process import interact, run
from lab.settings import Settings

_TMUX_DEADLINE = 10.0


@click.command("debug")
@click.argument("bundle", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@guest_options
@click.option("--break", "breaks", multiple=True, metavar="FUNCTION", help="Stop at NAME or MODULE:NAME; repeatable.")
@click.option("--gdb", "program", default="", metavar="PROGRAM", help="A gdb of the host, instead of the lab's own.")
@click.option("--fetch", is_flag=True, help="Fetch the kernel's debug information when it is not there yet.")
@click.pass_obj
def debug(
    settings: Settings, bundle: Path | None, wanted: Wanted, breaks: tuple[str, ...], program: str, fetch: bool
) -> int:
    """Debug a fresh guest with gdb; in tmux its shell is in this pane and gdb in another, else gdb is alone.

    With BUNDLE, a failure's folder: open the dump in it with drgn.
    """
    if bundle is not None:
        return _open_dump(settings, bundle)
    # First, because what is missing is better said before a guest is booted.
    lab = Lab(settings, notice)
    gdb = named_gdb(program) if program else own_gdb(lab.store, settings, notice)
    with guest(settings, wanted, "lab debug") as (machine, prepared), _stub(machine, prepared) as stub:
        source = DebugSource(lab.store, settings, notice)
        info = source.fetch(prepared.kernel) if fetch else source.find(prepared.kernel)
        if info is None:
            notice("lab debug --fetch fetches the kernel's debug information, where its archive has it")
        commands = gdb_script(Debuggee(machine, info, _debug_module(prepared)), stub, breaks, notice)
        return _work(machine, gdb, commands)


@contextlib.contextmanager
def _stub(machine: Machine, prepared: Prepared) -> Iterator[Path]:
    notice(f"kernel {prepared.kernel.release}; the guest and all in it end with the debugger")
    with open_stub(machine) as path:
        yield path


def _work(machine: Machine, gdb: Gdb, commands: Path) -> int:
    """gdb beside the guest's shell in tmux, else gdb in the foreground."""
    words = [*gdb.command, "-q", "-x", str(commands)]
    environment = dict(gdb.environment)
    if "TMUX" not in os.environ or not sys.stdin.isatty():
        return interact(words, env=environment)
    # Before gdb stops the guest: its server has to answer once.
    machine.shell()
    line = shlex.join(["env", *(f"{name}={value}" for name, value in environment.items()), *words])
    run(["tmux", "split-window", "-h", line], deadline=_TMUX_DEADLINE)
    converse(machine, sys.stdin.fileno(), sys.stdout.fileno())
    return 0


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
