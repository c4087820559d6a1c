"""What was measured, for people as a table and for programs as JSON with every sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.bench.host import MAX_OTHERS, HostFacts, HostLoad, why_busy
from lab.bench.samples import Ratio, Spread, ratio, spread

SCHEMA = 1
_PIPE_WIDTH = 120
_SECONDS, _MIB = "s", "MiB"


@dataclass(frozen=True)
class Quantity:
    """Something that is measured, by its key in the JSON; a `part` of the quantity above it is set in."""

    key: str
    what: str
    unit: str = _SECONDS
    part: bool = False


# In the order of the table.
QUANTITIES = (
    Quantity("fork", "fork, to the first command's exit code"),
    Quantity("fork.qemu", "QEMU is there", part=True),
    Quantity("fork.restore", "its state is restored", part=True),
    Quantity("fork.greeting", "the guest answers", part=True),
    Quantity("fork.identity", "clock, entropy and names", part=True),
    Quantity("fork.command", "first command", part=True),
    Quantity("fork.next", "the next command in it"),
    Quantity("fork.capture", "the first capture in it, empty"),
    Quantity("fork.end", "ending it"),
    Quantity("boot", "cold boot, to the same point"),
    Quantity("boot.ready", "the guest answers", part=True),
    Quantity("boot.driver", "the driver is loaded", part=True),
    Quantity("boot.consumer", "its consumer reports", part=True),
    Quantity("boot.command", "first command", part=True),
    Quantity("save", "saving a template"),
    Quantity("template", "booting and saving one"),
    Quantity("virtme", "virtme-ng, -- true"),
    Quantity("memory.private", "private memory of an idle fork", _MIB),
    Quantity("memory.dirty", "Private_Dirty", _MIB, part=True),
    Quantity("memory.resident", "Rss", _MIB, part=True),
    Quantity("memory.proportional", "Pss", _MIB, part=True),
)
# What a fork is set beside.
_RATIOS = {"boot": "cold boot / fork", "virtme": "virtme-ng / fork"}


@dataclass(frozen=True)
class Findings:
    """A whole run: what was asked for, what it was measured with and on, and every sample. `started` is ISO 8601, in
    UTC; `failed` are the other tool's guests that did not run."""

    cell: Mapping[str, str]
    guest: Mapping[str, Any]
    versions: Mapping[str, Any]
    repeat: int
    started: str
    host: HostFacts
    load: HostLoad
    samples: Mapping[str, Sequence[float]]
    failed: Sequence[str]

    def busy(self) -> str:
        """Why the figures are worth little; empty when they are good."""
        return why_busy(self.load, self.host.cpus)

    def spreads(self) -> dict[str, Spread]:
        """By quantity, in the table's order."""
        return {one.key: spread(self.samples[one.key]) for one in QUANTITIES if one.key in self.samples}

    def ratios(self) -> dict[str, Ratio]:
        """How many times longer than a fork takes what it is set beside."""
        spreads = self.spreads()
        return {key: ratio(spreads[key], spreads["fork"]) for key in _RATIOS if key in spreads}


def as_json(found: Findings) -> str:
    """The JSON that docs/reference.md describes."""
    units = {one.key: one for one in QUANTITIES}
    measured = {
        key: {"what": units[key].what, "unit": units[key].unit, **asdict(short), "samples": list(found.samples[key])}
        for key, short in found.spreads().items()
    }
    busy = found.busy()
    content = {
        "schema": SCHEMA,
        "busy": bool(busy),
        "why_busy": busy,
        "started": found.started,
        "repeat": found.repeat,
        "cell": dict(found.cell),
        "guest": dict(found.guest),
        "versions": dict(found.versions),
        "machine": asdict(found.host),
        "load": {"limit": MAX_OTHERS * found.host.cpus, **asdict(found.load)},
        "measured": measured,
        "ratios": {f"{key}/fork": asdict(times) for key, times in found.ratios().items()},
        "failed": list(found.failed),
    }
    return json.dumps(content, indent=1)


def show(found: Findings, console: Console | None = None) -> None:
    """Print the table, and what it was measured with and on."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    for line in _lines(found):
        console.print(Text(line), soft_wrap=True)
    _warn(found, console)
    console.print(_table(found))
    _warn(found, console)


def _lines(found: Findings) -> list[str]:
    host, load, guest = found.host, found.load, found.guest
    virtual = f", virtual ({host.virtual})" if host.virtual else ""
    kernel, qemu = found.versions["kernel"], found.versions["qemu"]
    rival = f", virtme-ng {found.versions['virtme-ng']}" if found.versions.get("virtme-ng") else ""
    averages = " then ".join(f"{average[0]:.2f}" for average in load.average)
    return [
        f"{found.versions['cell']}: kernel {kernel['release']}, QEMU {qemu['version']} ({guest['acceleration']})"
        f", {guest['cpus']} CPUs, {guest['memory_mib']} MiB{rival}, lab {found.versions['lab']}",
        f"{host.model}, {host.cpus} CPUs, {host.memory_mib} MiB{virtual}; {host.system}, Linux {host.kernel}",
        f"{found.started}, {found.repeat} round(s) in {load.during.seconds:.0f} s; others used {load.before.others:.2f}"
        f" CPUs before and {load.during.others:.2f} meanwhile; load average {averages}",
    ]


def _warn(found: Findings, console: Console) -> None:
    if why := found.busy():
        console.print(Text(f"\nBUSY: {why}: these figures are worth little", style="bold red"), soft_wrap=True)
    if found.failed:
        times = f"{len(found.failed)} time(s)"
        console.print(Text(f"\nvirtme-ng's guest failed {times} and was run again: {found.failed[-1]}"), soft_wrap=True)


def _table(found: Findings) -> Table:
    table = Table("", "median", "middle half", "least", "most", "", box=None, pad_edge=False)
    for column in table.columns[1:5]:
        column.justify = "right"
    spreads = found.spreads()
    for one in (one for one in QUANTITIES if one.key in spreads):
        short = spreads[one.key]
        numbers = [_number(value, one.unit) for value in (short.median, short.least, short.most)]
        middle = f"{_number(short.first, one.unit)} - {_number(short.third, one.unit)}"
        style = "dim" if one.part else ""
        table.add_row(("  " if one.part else "") + one.what, numbers[0], middle, *numbers[1:], one.unit, style=style)
    for key, times in found.ratios().items():
        middle = f"{times.least:.1f} - {times.most:.1f}"
        table.add_row(_RATIOS[key], f"{times.value:.1f}", middle, "", "", "times")
    return table


def _number(value: float, unit: str) -> str:
    return f"{value:.3f}" if unit == _SECONDS else f"{value:.1f}"
