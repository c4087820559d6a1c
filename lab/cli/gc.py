"""`lab gc`: what the store holds, and making room in it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab import inventory, storekeeping
from lab.errors import ExitCode, HostError
from lab.inventory import Item
from lab.machines.record import reap
from lab.settings import Settings
from lab.store import Store
from lab.storekeeping import Outcome, Rubbish, Wish

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LOG_SECONDS = 30 * 86400
_SHORT = 8  # characters of a key, which tell entries apart
_PIPE_WIDTH = 200
_HOW = "Make room with --older-than 30d, --to-size 5G, --kind KIND or names; --dry-run says what would go."


def _age(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """12h, 30d, 2w, as seconds."""
    match = re.fullmatch(r"(\d{1,6})([hdw])", value or "")
    if value is not None and match is None:
        raise click.BadParameter(f"{value!r} is no age: write 12h, 30d or 2w")
    return float(match[1]) * _SECONDS[match[2]] if match else None


def _size(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """500M, 5G, as bytes."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([KMGT]?)(?:i?B)?", value or "")
    if value is not None and match is None:
        raise click.BadParameter(f"{value!r} is no size: write 500M or 5G")
    return int(float(match[1]) * _BYTES[match[2]]) if match else None


@click.command("gc")
@click.argument("names", nargs=-1, metavar="[KIND/KEY]...")
@click.option("--older-than", callback=_age, metavar="AGE", help="Remove what was not used for 12h, 30d, 2w, ...")
@click.option("--to-size", callback=_size, metavar="SIZE", help="Remove until the store has 500M, 5G, ... or less.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Remove entries of this kind; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_obj
def gc(settings: Settings, /, names: tuple[str, ...], dry_run: bool, as_json: bool, **given: Any) -> int:
    """List what the store holds, least recently used first, or make room in it.

    Without --older-than, --to-size, --kind or a name nothing is removed. What is given is joined: only what meets all
    of it goes, and with --to-size no more than is needed. What a run uses now stays. A removal also tidies away what
    killed runs left half made, and logs of builds that are older than 30 days.
    """
    with contextlib.suppress(HostError):  # a disk may be too full for it, and is to be emptied here
        reap(settings.run_dir)
    now, older_than = time.time(), given["older_than"]
    wish = Wish(given["kinds"], names, None if older_than is None else now - older_than, given["to_size"])
    store = Store(settings.store)
    entries = inventory.entries(store)
    if not wish.asks():
        _print_listing(store, entries, as_json)
        return ExitCode.OK
    chosen = storekeeping.candidates(entries, wish)
    rubbish = storekeeping.rubbish(store, now - (older_than or _LOG_SECONDS))
    left = {folder.name for folder in rubbish.leftovers}
    size = _total(entries) + _total(item for item in inventory.others(store) if item.key not in left)
    if not dry_run:
        storekeeping.tidy(store, rubbish)
    outcome = storekeeping.collect(store, chosen, size, wish.to_size, dry=dry_run)
    _print_outcome(store, outcome, rubbish, dry_run, as_json)
    too_much = wish.to_size is not None and outcome.size > wish.to_size
    return ExitCode.CHECK_FAILED if too_much or (names and outcome.kept) else ExitCode.OK


def _print_listing(store: Store, entries: list[Item], as_json: bool) -> None:
    items = [*entries, *inventory.others(store)]
    used = {item: storekeeping.obstacle(store, item) for item in entries}
    if as_json:
        rows = [{**_row(item), "in_use": used.get(item, "")} for item in items]
        click.echo(json.dumps({**_disk(store, _total(items)), "items": rows}, indent=1))
        return
    table = Table("name", "what", "MiB", "last used", "", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for item in items:
        # Not markup: what an image's maker wrote may stand in it.
        table.add_row(Text(_short(item)), Text(item.what), _mib(item.size), _when(item.used), Text(used.get(item, "")))
    console = Console()
    Console(width=None if console.is_terminal else _PIPE_WIDTH).print(table)
    disk = _disk(store, _total(items))
    click.echo(f"\n{_mib(disk['size'])} MiB in {store.root}; {_mib(disk['free'])} MiB are free on its disk.\n{_HOW}")


def _print_outcome(store: Store, outcome: Outcome, rubbish: Rubbish, dry_run: bool, as_json: bool) -> None:
    if as_json:
        gone, kept = [_row(item) for item in outcome.gone], [{**_row(item), "why": why} for item, why in outcome.kept]
        swept = {name: [str(path) for path in paths] for name, paths in asdict(rubbish).items()}
        told = {"dry_run": dry_run, "removed": gone, "kept": kept, "tidied": swept}
        click.echo(json.dumps({**_disk(store, outcome.size), **told}, indent=1))
        return
    verb = "would remove" if dry_run else "removed"
    for item in outcome.gone:
        click.echo(f"{verb} {_short(item)}: {item.what}, {_mib(item.size)} MiB")
    for item, why in outcome.kept:
        click.echo(f"kept {_short(item)}: {item.what}, {_mib(item.size)} MiB: {why}")
    counts = {"leftovers of killed runs": rubbish.leftovers, "old logs": rubbish.logs, "stale locks": rubbish.locks}
    for name, paths in counts.items():
        if paths:
            click.echo(f"{verb} {name}: {len(paths)}")
    freed = _mib(_total(outcome.gone))
    would = "would be " if dry_run else ""
    click.echo(f"{len(outcome.gone)} entries with {freed} MiB {would}removed; {_mib(outcome.size)} MiB {would}left")


def _total(items: Iterable[Item]) -> int:
    return sum(item.size for item in items)


def _disk(store: Store, size: int) -> dict[str, Any]:
    return {"store": str(store.root), "size": size, "free": shutil.disk_usage(store.root).free}


def _row(item: Item) -> dict[str, Any]:
    return {**asdict(item), "used": datetime.fromtimestamp(item.used, UTC).isoformat(timespec="seconds")}


def _short(item: Item) -> str:
    """A name that can be given back; entries' keys are long, others' are words."""
    entry = item.kind not in (inventory.STATE, inventory.LEFTOVER)
    return f"{item.kind}/{item.key[:_SHORT]}" if entry else item.name


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f}"


def _when(used: float) -> str:
    return datetime.fromtimestamp(used).astimezone().strftime("%Y-%m-%d %H:%M")
