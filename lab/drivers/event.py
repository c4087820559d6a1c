"""What a driver reported, in one form for all drivers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

# What a parameter can be: a number, the guest's bytes, names of flags, a list of the guest's strings, an address.
Value = int | bytes | str | frozenset[str] | tuple[bytes, ...] | None


@dataclass(frozen=True)
class Event:
    """One event. Strings that come from the guest are bytes; `type` is the system call's name, or `procexit`.

    `ts` is nanoseconds since the epoch. `result` is what the call returned (negative: -errno), None where the event
    has none. `params` are the call's own, by the names that scenarios use.
    """

    type: str
    ts: int
    cpu: int
    tid: int
    pid: int
    ppid: int
    comm: bytes
    exe: bytes
    result: int | None
    params: Mapping[str, Value] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Value:
        """A parameter; KeyError with those there are."""
        try:
            return self.params[name]
        except KeyError:
            raise KeyError(f"{self.type} has no parameter {name!r}; it has {', '.join(self.params)}") from None

    def value(self, name: str) -> Value:
        """A field or parameter by name, None when the event has neither: what matching looks at."""
        if name in FIELDS:
            return getattr(self, name)  # type: ignore[no-any-return]
        return self.params.get(name)

    def to_json(self) -> str:
        """One line, for a bundle."""
        named = {item: getattr(self, item) for item in FIELDS}
        return json.dumps({**named, "params": dict(self.params)}, default=_plain)


FIELDS = tuple(item.name for item in fields(Event) if item.name != "params")


@dataclass(frozen=True)
class Counters:
    """What the driver counted: events offered to its consumer and events it had to drop."""

    events: int
    drops: int


def in_order(events: Sequence[Event]) -> list[Event]:
    """Events of one process as they were made: those of one CPU come so, and a guest's clock was seen to step back by
    1.6 ms; of several CPUs by their time."""
    if len({event.cpu for event in events}) == 1:
        return list(events)
    return sorted(events, key=lambda event: event.ts)


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return {"b64": base64.b64encode(value).decode()}
        case frozenset():
            return sorted(value)
    return repr(value)
