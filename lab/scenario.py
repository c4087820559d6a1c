"""What a scenario file imports: the negative controls that prove that it can fail.

    @pytest.mark.controls(altered("name", type="openat", comm="cat"), missing(type="openat", comm="cat"))
    def test_...(machine, events): ...

After a scenario has passed on its machine, the lab runs its body again on what was recorded, once for each control,
with the one thing altered that the control names. The control counts only if the body then fails by an assertion that
names what was altered.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from lab.drivers.capture import Capture
from lab.drivers.event import FIELDS, Counters, Event, Value
from lab.drivers.expect import differences, show_expected
from lab.evidence.printk import Record

__all__ = ["Control", "Wrong", "added", "altered", "answered", "blinded", "logged", "missing", "profiled", "wrong"]


def profiled(name: str, default: Collection[str], smoke: Collection[str] = ()) -> list[pytest.MarkDecorator]:
    """The mark of a parameter's least profile: `full`, unless it is one of these."""
    return [pytest.mark.profile("smoke" if name in smoke else "default" if name in default else "full")]


class Control(Protocol):
    """One alteration of what a scenario was told."""

    @property
    def label(self) -> str:
        """For reports."""

    def alter(self, method: str, result: Any) -> Any:
        """What the fixture's method shall return instead of `result`; the same object when it does not concern it."""

    def named_in(self, message: str) -> bool:
        """Whether a failure's message names what was altered."""


# From "the nearest has FIELD=..., FIELD=...: EVENT" (lab/drivers/expect.py), without the event itself.
_NEAREST = re.compile(r"the nearest has (.*?): \S+ by ")


@dataclass(frozen=True)
class _OnEvents:
    """A control on captured events: those that match `which` go through `change`, None taking one out."""

    label: str
    which: dict[str, Any]
    names: Callable[[str], bool]
    change: Callable[[Event], Event | None]

    def alter(self, method: str, result: Any) -> Any:
        if method != "events.capture" or not isinstance(result, Capture):
            return result
        if all(differences(event, self.which) for event in result.events):
            return result
        pairs = ((event, differences(event, self.which)) for event in result.events)
        changed = (event if unlike else self.change(event) for event, unlike in pairs)
        return dataclasses.replace(result, events=tuple(event for event in changed if event is not None))

    def named_in(self, message: str) -> bool:
        return self.names(message)


@dataclass(frozen=True)
class _OnCapture:
    """A control on a capture as a whole."""

    label: str
    change: Callable[[Capture], Capture]
    names: Callable[[str], bool]

    def alter(self, method: str, result: Any) -> Any:
        return self.change(result) if method == "events.capture" and isinstance(result, Capture) else result

    def named_in(self, message: str) -> bool:
        return self.names(message)


@dataclass(frozen=True)
class _Blinded:
    """A control on how a capture of an attacked driver ends, by an error of its consumer's too."""

    which: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{_words(self.which)} vanished"

    def alter(self, method: str, result: Any) -> Any:
        if method != "events.capture":
            return result
        events = result.events if isinstance(result, Capture) else ()
        kept = tuple(event for event in events if differences(event, self.which))
        return Capture(events=kept, counters=Counters(events=len(kept), drops=0), closed=True)

    def named_in(self, message: str) -> bool:
        return "vanished" in message


@dataclass(frozen=True)
class Wrong:
    """A control by a driver that is built wrong; on a recording it alters nothing."""

    option: str
    word: str

    @property
    def label(self) -> str:
        return f"driver built wrong: {self.option}"

    def alter(self, method: str, result: Any) -> Any:  # noqa: ARG002 - the driver is what is altered
        return result

    def named_in(self, message: str) -> bool:
        return self.word in message


@dataclass(frozen=True)
class _OnAnswers:
    """A control on what a fixture's method answers."""

    label: str
    method: str
    word: str
    change: Callable[[Any], Any]

    def alter(self, method: str, result: Any) -> Any:
        return self.change(result) if method == self.method else result

    def named_in(self, message: str) -> bool:
        return self.word in message


def altered(field: str, **which: Any) -> Control:
    """The events that match have another value in this field or parameter."""

    def change(event: Event) -> Event:
        value: Any = another(event.value(field))
        if field in FIELDS:
            return dataclasses.replace(event, **{field: value})
        return dataclasses.replace(event, params={**event.params, field: value})

    return _OnEvents(f"{field} altered", which, lambda message: _tells_of(field, message), change)


def missing(**which: Any) -> Control:
    """The events that match never came. A scenario names them by their type."""
    kinds = {which["type"]} if isinstance(which["type"], str) else set(which["type"])

    def names(message: str) -> bool:
        first = message.strip().partition("\n")[0]
        return show_expected({"type": which["type"]}) in first or any(_has_word(kind, first) for kind in kinds)

    return _OnEvents(f"{_words(which)} missing", which, names, lambda _: None)


def added(**fields: Any) -> Control:
    """One event more came, with these fields and parameters: for what must not be reported. The failure must name its
    type."""
    kind = str(fields["type"])

    def alter(capture: Capture) -> Capture:
        if not capture.events:
            return capture
        return dataclasses.replace(capture, events=(*capture.events, _like(capture.events[-1], fields)))

    return _OnCapture(f"{_words(fields)} added", alter, lambda message: _has_word(kind, message.partition("\n")[0]))


def blinded(**which: Any) -> Control:
    """The driver was blinded and nobody noticed: a whole capture, with nothing dropped, without the events that match.
    The failure must say that they vanished."""
    return _Blinded(which)


def wrong(option: str, *, word: str) -> Control:
    """A live control, of `--controls`: with the driver built wrong by that option of its manifest, the scenario's own
    assertion (or the kernel's complaint) fails, and says `word`."""
    return Wrong(option, word)


def logged(line: str) -> Control:
    """The kernel log holds one line more."""
    # Without a time, so that it is behind every moment that a scenario asks for (`printk.since`).
    record = Record(time=None, level=4, facility=0, text=line)

    def change(records: Sequence[Record]) -> list[Record]:
        return [*records, record]

    return _OnAnswers(f"kernel log with {line!r}", "printk.records", line, change)


def answered(method: str, answer: Any, *, word: str) -> Control:
    """A fixture's method ("driver.loaded") answers this; the failure must contain `word`."""
    return _OnAnswers(f"{method} answers {answer!r}", method, word, lambda _: answer)


def another(value: Value) -> Value:
    """A value of the same kind that no scenario expects: of the other sign, longer, with other flags."""
    match value:
        case int():
            return ~value
        case bytes():
            return value + b"~altered"
        case str():
            return value + "~altered"
        case frozenset():
            return frozenset({"ALTERED"})
        case tuple():
            return (*value, b"~altered")
    return b"~altered"


def _like(event: Event, fields: Mapping[str, Any]) -> Event:
    """An event with those fields and parameters, and what else it needs from another one."""
    values = {name: value.encode() if isinstance(value, str) else value for name, value in fields.items()}
    own: dict[str, Any] = {name: value for name, value in values.items() if name in FIELDS}
    params = {name: value for name, value in values.items() if name not in FIELDS}
    return dataclasses.replace(event, **{**own, "type": fields["type"], "params": params})


def _tells_of(field: str, message: str) -> bool:
    """Whether a message blames that field. One that shows a whole event has every field's name in it: what counts is
    what differs in the nearest event, the attribute that pytest followed ("... = Event(...).result"), or the first line
    of a message without either."""
    nearest = _NEAREST.findall(message)
    if nearest:
        return any(_has_word(field, wrong) for wrong in nearest)
    followed = re.search(rf"\)\.{re.escape(field)}\b", message)
    return followed is not None or _has_word(field, message.strip().partition("\n")[0])


def _has_word(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _words(which: dict[str, Any]) -> str:
    return " ".join(str(value) for value in which.values())
