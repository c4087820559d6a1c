"""What bpftool tells, as types; and what is left when something should be gone. A guest's words: read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.errors import LabError


@dataclass(frozen=True)
class Program:
    """A program in the kernel. `run_count` and `run_ns` are counted only while the kernel counts (`count_runs`)."""

    id: int
    type: str
    name: str
    tag: str = ""
    run_count: int = 0
    run_ns: int = 0
    bytes_xlated: int = 0
    bytes_jited: int = 0
    map_ids: tuple[int, ...] = ()
    btf_id: int | None = None
    pinned: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()  # "comm/pid" of processes that have it open


@dataclass(frozen=True)
class Map:
    """A map in the kernel; sizes in bytes."""

    id: int
    type: str
    name: str
    key_size: int = 0
    value_size: int = 0
    max_entries: int = 0
    memory: int = 0
    btf_id: int | None = None
    frozen: bool = False
    pinned: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One entry of a map: by its BTF where the map has one (numbers, texts, dicts, lists), else bytes. `values` holds
    one for each CPU where the map is of that kind."""

    key: Any
    value: Any = None
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Link:
    """What attaches a program to something; `details` is all else that bpftool says of it (tp_name, ifindex, ...)."""

    id: int
    type: str
    program_id: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Btf:
    """Type information in the kernel: the kernel's own has `kernel` set."""

    id: int
    size: int
    name: str = ""
    kernel: bool = False
    program_ids: tuple[int, ...] = ()
    map_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Attached:
    """A program at a network device ("xdp", "tc", ...) or a perf event (kprobe, tracepoint, ...)."""

    kind: str
    program_id: int | None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """All that programs brought into the kernel, at one moment."""

    programs: tuple[Program, ...] = ()
    maps: tuple[Map, ...] = ()
    links: tuple[Link, ...] = ()
    btf: tuple[Btf, ...] = ()  # without the kernel's own

    def without(self, other: Snapshot) -> Snapshot:
        """What is in this one and not in the other, by their numbers, which a kernel gives once."""
        known = [{item.id for item in items} for items in (other.programs, other.maps, other.links, other.btf)]
        return Snapshot(
            tuple(item for item in self.programs if item.id not in known[0]),
            tuple(item for item in self.maps if item.id not in known[1]),
            tuple(item for item in self.links if item.id not in known[2]),
            tuple(item for item in self.btf if item.id not in known[3]),
        )

    def numbers(self) -> frozenset[tuple[str, int]]:
        """Which programs, maps and links it has: pairs of a word and a number."""
        programs = [("program", item.id) for item in self.programs]
        maps = [("map", item.id) for item in self.maps]
        return frozenset((*programs, *maps, *(("link", item.id) for item in self.links)))

    def __bool__(self) -> bool:
        return bool(self.programs or self.maps or self.links or self.btf)

    def __str__(self) -> str:
        words = [f"program {item.id} {item.name!r} ({item.type})" for item in self.programs]
        words += [f"map {item.id} {item.name!r} ({item.type})" for item in self.maps]
        words += [f"link {item.id} of program {item.program_id} ({item.type})" for item in self.links]
        words += [f"BTF {item.id} {item.name!r}" for item in self.btf]
        return ", ".join(words) or "nothing"


def read_numbers(text: str) -> frozenset[tuple[str, int]]:
    """What `lab-agent bpf` prints, as Snapshot.numbers has it; LabError for anything else."""
    pairs = [line.split() for line in text.splitlines()]
    if any(len(pair) != 2 or not pair[1].isdigit() for pair in pairs):
        raise LabError(f"lab-agent in the guest said what are no numbers of programs and maps: {text[:200]!r}")
    return frozenset((word, int(number)) for word, number in pairs)


def read_json(data: bytes) -> Any:
    """bpftool's answer; LabError with its own words when it is one of its errors, or no JSON."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LabError(f"bpftool in the guest said what is no JSON: {data[:200]!r}") from error
    if isinstance(found, dict) and set(found) == {"error"}:
        raise LabError(f"bpftool in the guest: {found['error']}")
    return found


def read_programs(found: Any) -> list[Program]:
    """`bpftool -j prog show`."""
    return [
        Program(
            id=_number(item, "id"),
            type=_text(item, "type"),
            name=_text(item, "name"),
            tag=_text(item, "tag"),
            run_count=_number(item, "run_cnt", 0),
            run_ns=_number(item, "run_time_ns", 0),
            bytes_xlated=_number(item, "bytes_xlated", 0),
            bytes_jited=_number(item, "bytes_jited", 0),
            map_ids=_numbers(item, "map_ids"),
            btf_id=_maybe(item, "btf_id"),
            pinned=_texts(item, "pinned"),
            holders=_holders(item),
        )
        for item in _items(found)
    ]


def read_maps(found: Any) -> list[Map]:
    """`bpftool -j map show`."""
    return [
        Map(
            id=_number(item, "id"),
            type=_text(item, "type"),
            name=_text(item, "name"),
            key_size=_number(item, "bytes_key", 0),
            value_size=_number(item, "bytes_value", 0),
            max_entries=_number(item, "max_entries", 0),
            memory=_number(item, "bytes_memlock", 0),
            btf_id=_maybe(item, "btf_id"),
            frozen=bool(item.get("frozen")),
            pinned=_texts(item, "pinned"),
            holders=_holders(item),
        )
        for item in _items(found)
    ]


def read_entries(found: Any) -> list[Entry]:
    """`bpftool -j map dump`, whose entries have a "formatted" form where the map has a BTF."""
    rows = [item.get("formatted", item) for item in _items(found) if "key" in item]
    return [
        Entry(
            key=_plain(row.get("key")),
            value=_plain(row.get("value")),
            values=tuple(_plain(each.get("value")) for each in _items(row.get("values", []))),
        )
        for row in _items(rows)
    ]


def read_links(found: Any) -> list[Link]:
    """`bpftool -j link show`."""
    return [
        Link(
            id=_number(item, "id"),
            type=_text(item, "type"),
            program_id=_number(item, "prog_id", 0),
            details={name: value for name, value in item.items() if name not in ("id", "type", "prog_id")},
        )
        for item in _items(found)
    ]


def read_btf(found: Any) -> list[Btf]:
    """`bpftool -j btf show`."""
    return [
        Btf(
            id=_number(item, "id"),
            size=_number(item, "size", 0),
            name=_text(item, "name"),
            kernel=bool(item.get("kernel")),
            program_ids=_numbers(item, "prog_ids"),
            map_ids=_numbers(item, "map_ids"),
        )
        for item in _items(found)
    ]


def read_net(found: Any) -> list[Attached]:
    """`bpftool -j net show`: one object, a list for each kind of place."""
    places = [(kind, item) for group in _items(found) for kind, items in group.items() for item in _items(items)]
    return [Attached(kind, _maybe(item, "prog_id") or _maybe(item, "id"), item) for kind, item in places]


def read_perf(found: Any) -> list[Attached]:
    """`bpftool -j perf show`."""
    return [Attached(_text(item, "fd_type"), _maybe(item, "prog_id"), item) for item in _items(found)]


def _items(found: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise LabError(f"bpftool in the guest said what is no list of objects: {str(found)[:200]}")
    return found


def _number(item: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = item.get(name, default)
    if not isinstance(value, int):
        raise LabError(f"bpftool in the guest said of {name} {value!r}, which is no number")
    return value


def _maybe(item: Mapping[str, Any], name: str) -> int | None:
    return _number(item, name) if name in item else None


def _text(item: Mapping[str, Any], name: str) -> str:
    return str(item.get(name, ""))


def _numbers(item: Mapping[str, Any], name: str) -> tuple[int, ...]:
    found = item.get(name, [])
    return tuple(value for value in found if isinstance(value, int)) if isinstance(found, list) else ()


def _texts(item: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = item.get(name, [])
    return tuple(str(value) for value in found) if isinstance(found, list) else ()


def _holders(item: Mapping[str, Any]) -> tuple[str, ...]:
    found = item.get("pids", [])
    known = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return tuple(f"{each.get('comm', '')}/{each.get('pid', '')}" for each in known)


def _plain(value: Any) -> Any:
    """A key or value: without BTF bpftool writes bytes as ["0x01", ...]."""
    if isinstance(value, list) and value and all(isinstance(item, str) and item.startswith("0x") for item in value):
        try:
            return bytes(int(item, 16) for item in value)
        except ValueError:
            return value
    return value
