"""`lab driver`: what drivers there are, what a manifest says, and building one."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Table

from lab import arches
from lab.cli.context import given_options, notice
from lab.drivers.build import build_driver
from lab.drivers.gaps import Gap
from lab.drivers.manifest import DriverMode, Given, find_driver, find_manifest, own_drivers
from lab.drivers.parse import read_manifest
from lab.drivers.schema import Manifest, Mode
from lab.matrix.provision import Lab
from lab.settings import Settings

_COLUMNS = ("driver", "versions", "built", "runs on", "events")
_WIDTH = 200  # into a pipe a line must come whole
_BUILT = {
    "kbuild": "for each kernel, by its headers",
    "legacy-bpf": "for each kernel, by its headers",
    "co-re": "once for all kernels",
    "none": "not at all",
}


@click.group()
def driver() -> None:
    """Drivers under test, as their manifests describe them."""


@driver.command("list")
def list_drivers() -> None:
    """List the lab's own drivers: modes, versions, and the oldest kernel of each architecture."""
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for _, manifest in own_drivers():
        for name, mode in manifest.modes.items():
            table.add_row(f"{manifest.name}:{name}", _versions(manifest), _how(mode), _where(mode), _reader(mode))
    console = Console()
    Console(width=None if console.is_terminal else _WIDTH).print(table)


@driver.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Tell what the manifest of NAME says: a driver of the lab's, NAME:MODE, or PATH/driver.toml."""
    front, _, wanted = name.rpartition(":")
    manifest = read_manifest(find_manifest(front or name))
    click.echo(f"{manifest.name}: {manifest.description} {manifest.homepage}".rstrip())
    for mode in [wanted] if front else manifest.modes:
        click.echo()
        for line in _described(find_driver(f"{front or name}:{mode}")):
            click.echo(line)


@driver.command("build")
@click.argument("request", metavar="NAME[@VERSION][+OPTION]:MODE")
@click.option("--kernel", default="", metavar="REQUEST", help="The kernel; the default one when not given.")
@click.option("--arch", default="", metavar="ARCH", help="Architecture; the host's own when not given.")
@given_options
@click.pass_obj
def build(settings: Settings, request: str, kernel: str, arch: str) -> None:
    """Build a driver for a kernel, the compilers' output as it comes, and say where the result is."""
    wanted = find_driver(request, Given.of(settings))
    lab = Lab(settings, notice)
    chosen = lab.kernels.resolve(kernel or settings.kernel, arches.find(arch) if arch else arches.host()).fetch()
    printed: list[int] = []

    def show(data: bytes) -> None:
        printed.append(len(data))
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    made = build_driver(wanted, chosen, lab.store, settings, notice, show)
    lines = {"driver": wanted.name, "kernel": f"{chosen.release} ({chosen.arch.name})", "key": made.key}
    lines |= {word: str(path) for word, path in made.files.items()}
    lines |= {"compiler": str(made.provenance["compiler"])} if "compiler" in made.provenance else {}
    lines |= {"built": "now" if printed else "before: from the store" if wanted.mode.source else "nothing to build"}
    for name, value in lines.items():
        click.echo(f"{name + ':':<11}{value}")


def _versions(manifest: Manifest) -> str:
    names = [f"{name} (default)" if of.default else name for name, of in manifest.versions.items()]
    return ", ".join(names) or "-"


def _how(mode: Mode) -> str:
    return "a program is given" if mode.artifact else _BUILT[mode.build]


def _where(mode: Mode) -> str:
    return ", ".join(f"{arch} {series}+" for arch, series in mode.minimum_kernel.items())


def _reader(mode: Mode) -> str:
    consumer = mode.consumer
    if consumer is None:
        return "none"
    return f"{consumer.program.folder}, built" if consumer.program else " ".join(consumer.packages) or "-"


def _described(found: DriverMode) -> Iterator[str]:
    mode = found.mode
    yield f"{found.name}"
    if mode.source:
        where = f"package {mode.source.package} of {mode.source.suite}" if mode.source.package else found.folder
        yield f"  source:    {where}, {mode.source.folder} {mode.source.subfolder}".rstrip()
    yield f"  build:     {mode.build}, {_how(mode)}"
    yield f"  runs on:   {_where(mode)}"
    if mode.needs_config:
        yield f"  needs:     {', '.join(f'CONFIG_{name}' for name in mode.needs_config)}"
    if mode.artifact:
        yield f"  artifact:  {mode.artifact.describe}"
    yield f"  loaded by: {'; '.join(' '.join(command) for command in mode.load) or 'its consumer'}"
    if mode.consumer:
        image = f" (image of {mode.consumer.suite} with {', '.join(mode.consumer.packages)})"
        yield f"  events by: {mode.consumer.command[0]}{image if mode.consumer.packages else ''}"
    for name, option in mode.options.items():
        yield f"  option:    +{name}: {option.description or ' '.join(option.defines)}"
    for name in found.manifest.versions:
        of = find_driver(f"{found.request.rpartition(':')[0]}@{name}:{found.mode_name}")
        mark = " (default)" if found.manifest.versions[name].default else ""
        yield f"  version:   {name}{mark}: {of.mute or 'its events are read'}"
    for gap in mode.gaps:
        yield f"  gap:       {_about(gap)}: {gap.why} {gap.upstream}".rstrip()


def _about(gap: Gap) -> str:
    """What a gap is of, in words."""
    if gap.build:
        return "build"
    return ", ".join(word for word in (*gap.scenario, *gap.event) if word)
