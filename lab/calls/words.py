"""Arguments of a system call: how the actor is told of one, and what the event must say of it.

A word is what scenarios/actors/syscalls.c reads. `{label}` in it stands for the number of the step of that label.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

AT_FDCWD = -100
# linux/limits.h: with the NUL
PATH_MAX = 4096


@dataclass(frozen=True)
class ResultOf:
    """An expected value: what the step of that label returned, or None and `pid`: the process that made the call."""

    label: str


@dataclass(frozen=True)
class Prefix:
    """An expected value: the beginning of these bytes, and no less than `least` of them."""

    of: bytes
    least: int = 64


@dataclass(frozen=True)
class Untold:
    """An expected value: none, or an empty one. What could not be read must not be made up."""


@dataclass(frozen=True)
class AnyOf:
    """An expected value: one of these. A driver may tell a relative path as it was given, or resolved."""

    values: tuple[Any, ...]


# The process that made the call.
SELF = ResultOf("pid")


@dataclass(frozen=True)
class Arg:
    """One argument: the actor's word, and what parameters of the event must say of it."""

    word: str
    params: tuple[tuple[str, Any], ...] = ()


def number(value: int, param: str = "", expected: Any = None) -> Arg:
    """A number; expected is itself when nothing else is said."""
    return Arg(f"i:{value}", ((param, value if expected is None else expected),) if param else ())


def flags(value: int, param: str, *names: str) -> Arg:
    """A number whose bits have names; the event must have all of them."""
    return Arg(f"i:{value}", ((param, frozenset(names)),))


def named(value: int, param: str, *names: str, told: tuple[str, ...] = ()) -> Arg:
    """Flags of which some, by name, have another number on another architecture; `told` are those of `value`."""
    return Arg(f"x:{','.join([str(value), *names])}", ((param, frozenset((*names, *told))),))


def text(value: bytes | str, param: str = "") -> Arg:
    """A string."""
    data = value.encode() if isinstance(value, str) else value
    return Arg(f"s:{data.hex()}", ((param, data),) if param else ())


def data(value: bytes, *params: tuple[str, Any]) -> Arg:
    """Bytes of a structure."""
    return Arg(f"b:{value.hex()}", params)


def words(values: Iterable[bytes | str], param: str = "") -> Arg:
    """A list of strings, as argv; the parameter has it without the first."""
    items = [value.encode() if isinstance(value, str) else value for value in values]
    return Arg(f"v:{','.join(item.hex() for item in items)}", ((param, tuple(items[1:])),) if param else ())


def result(label: str, param: str = "") -> Arg:
    """What an earlier step returned."""
    return Arg(f"r:{{{label}}}", ((param, ResultOf(label)),) if param else ())


def memory(label: str, argument: int, *params: tuple[str, Any]) -> Arg:
    """The memory of an argument of an earlier step."""
    return Arg(f"@{{{label}}}.{argument}", params)


def room(size: int) -> Arg:
    """Zeroed memory."""
    return Arg(f"z:{size}")


def myself(param: str = "") -> Arg:
    """The number of the process that makes the call."""
    return Arg("pid", ((param, SELF),) if param else ())


def null(*params: str) -> Arg:
    """A null pointer."""
    return Arg("n", tuple((param, Untold()) for param in params))


def unreadable(*params: str) -> Arg:
    """A pointer to memory that the kernel cannot read either."""
    return Arg("u", tuple((param, Untold()) for param in params))
