"""`lab keep`: the machines that run, and those that stayed after a failed scenario (`--keep-on-failure`)."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

import click

from lab.cli.attach import attach
from lab.errors import RequestError
from lab.machines.record import living
from lab.machines.visitor import Visitor, find_machine
from lab.settings import Settings


@click.group("keep")
def keep() -> None:
    """Machines that run: those of a run under way, and those that stayed after a failure."""


@keep.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_(settings: Settings, as_json: bool) -> None:
    """The machines that run now, by the name that `lab exec` and `lab console` take."""
    records = sorted(living(settings.run_dir), key=lambda record: record.started)
    if as_json:
        click.echo(json.dumps([asdict(record) for record in records], indent=1))
        return
    for record in records:
        age = int(time.time() - record.started)
        click.echo(f"{record.name}  {'kept' if record.kept else 'busy'}  {age:6d} s  {record.purpose}")
    if not records:
        click.echo("no machine runs", err=True)


@keep.command("stop")
@click.argument("name", metavar="ID")
@click.pass_obj
def stop(settings: Settings, name: str) -> None:
    """Let the kept machine ID go: whoever keeps it ends it."""
    record = find_machine(settings.run_dir, name)
    if not record.kept:
        raise RequestError(f"machine {record.name} is not kept: {record.purpose} runs in it", hint="end that run")
    Visitor(settings.run_dir / record.name).release()


@keep.command("attach")
@click.argument("name", metavar="ID")
@click.pass_obj
def attach_(settings: Settings, name: str) -> int:
    """Run commands in machine ID, line by line, from the terminal or standard input; a crashed one has its console."""
    record = find_machine(settings.run_dir, name)
    return attach(Visitor(settings.run_dir / record.name), sys.stdin, interactive=sys.stdin.isatty())
