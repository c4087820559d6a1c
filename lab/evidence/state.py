"""What is put into a bundle of a guest's state: its kernel's complaints, modules, BPF programs and maps, and its
driver's own figures. Nothing here raises for what a guest does not tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.evidence.asking import Asking
from lab.evidence.bpf import read_json
from lab.evidence.printk import merged, parse_console, parse_kmsg
from lab.evidence.splats import Splat, find_splats
from lab.evidence.symbols import Symbols
from lab.machines.machine import Machine, reading

_MAX_SPLATS = 50  # of a flood
_MAX_MAPS = 32
_BPF = ("prog", "map", "link", "btf", "net", "perf")
# Each file of a module's that says something about it, with its name before it.
_MODULE = r"""
cd "/sys/module/$1" || exit
for file in refcnt initstate taint coresize srcversion version parameters/*; do
	[ -f "$file" ] && printf '%s=%s\n' "$file" "$(head -c 4096 "$file" 2>/dev/null | head -n 1)"
done
"""


def complaints(asking: Asking, machine: Machine, symbols: Symbols) -> list[Splat]:
    """What the kernel complained about until now, as far as its console and, if it lives, its log tell."""
    records = parse_console(machine.console.read())
    log = asking.ask(reading("/dev/kmsg"))
    if log is not None:
        records = merged(parse_kmsg(log.stdout), records)
    return [symbols.locate(splat) for splat in find_splats(records)[:_MAX_SPLATS]]


def write_splats(place: Path, splats: Sequence[Splat]) -> None:
    """splats.json: each complaint with its parts."""
    rows = [
        {
            **{name: getattr(splat, name) for name in ("kind", "title", "time")},
            "summary": splat.summary(),
            **asdict(splat.details),
            "lines": splat.lines,
        }
        for splat in splats
    ]
    (place / "splats.json").write_text(json.dumps(rows, indent=1) + "\n")


def write_state(place: Path, asking: Asking, module: str) -> None:
    """modules.txt, module.txt (the driver's own figures) and bpf.json, as far as the guest tells."""
    for name, argv in (
        ("modules.txt", ["lsmod"]),
        *([("module.txt", ["sh", "-c", _MODULE, "sh", module])] if module else []),
    ):
        done = asking.ask(argv)
        (place / name).write_bytes(done.stdout if done else f"{asking.why}\n".encode())
    (place / "bpf.json").write_text(json.dumps(_bpf(asking), indent=1) + "\n")


def _bpf(asking: Asking) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for what in _BPF:
        state[what] = _told(asking, ["bpftool", "-j", "-f", what, "show"])
    maps = state["map"] if isinstance(state["map"], list) else []
    numbers = [found["id"] for found in maps if isinstance(found, dict) and isinstance(found.get("id"), int)]
    state["contents"] = {
        str(number): _told(asking, ["bpftool", "-j", "map", "dump", "id", str(number)])
        for number in numbers[:_MAX_MAPS]
    }
    return state


def _told(asking: Asking, argv: list[str]) -> Any:
    done = asking.ask(argv)
    if done is None:
        return asking.why
    try:
        return read_json(done.stdout)
    except LabError as error:
        return error.what
