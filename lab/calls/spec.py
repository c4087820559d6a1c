"""A system call's variants, and the steps that the actor takes for them."""

from __future__ import annotations

import csv
import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lab.arches import Arch
from lab.calls.words import PATH_MAX, AnyOf, Arg, Prefix, null, result, text, unreadable

_TABLE = Path(__file__).with_name("syscalls.csv")
_ABIS = {"amd64": "x86_64"}
_COMPAT = {"amd64": "i386"}


@dataclass(frozen=True)
class Step:
    """One call that the actor makes. `how` is as in syscalls.c: c 32-bit, k in a child of its own, d in one without
    capabilities, f makes a child."""

    call: str
    args: tuple[Arg, ...] = ()
    how: str = ""
    label: str = ""


@dataclass(frozen=True)
class Variant:
    """A call in one way, after `before`: it must end with `fails` (an errno, 0: it succeeds), and its event must say
    what its arguments' parameters and `params` are."""

    name: str
    step: Step
    fails: int = 0
    before: tuple[Step, ...] = ()
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def expected(self) -> dict[str, Any]:
        """Parameters of its event, by name."""
        return dict([*(pair for arg in self.step.args for pair in arg.params), *self.params])


@dataclass(frozen=True)
class Call:
    """A call with all its variants. `setup` is done once, before the first of them; `returns`: it does, in some."""

    name: str
    variants: tuple[Variant, ...]
    setup: tuple[Step, ...] = ()
    returns: bool = True

    @property
    def params(self) -> tuple[str, ...]:
        """Every parameter that a variant expects something of."""
        return tuple(dict.fromkeys(name for variant in self.variants for name in variant.expected))


@dataclass(frozen=True)
class Line:
    """A step of a script; `variant` is the variant that it is, None for what only prepares one."""

    step: Step
    variant: Variant | None = None


def script(call: Call, arch: Arch) -> list[Line]:
    """The call's steps in their order: those that this architecture has."""
    lines = [Line(step) for step in call.setup]
    for variant in call.variants:
        if all(_number(step, arch) is not None for step in (*variant.before, variant.step)):
            lines += [Line(step) for step in variant.before] + [Line(variant.step, variant)]
    return lines


def rendered(lines: Sequence[Line], arch: Arch) -> bytes:
    """A script as the actor reads it. A label stands for the latest step that has it."""
    labels: dict[str, int] = {}
    written = []
    for index, line in enumerate(lines):
        step = line.step
        words = [arg.word.format_map(labels) if "{" in arg.word else arg.word for arg in step.args]
        written.append(" ".join([str(_number(step, arch)), step.how or "-", *words]))
        if step.label:
            labels[step.label] = index
    return "\n".join(written).encode() + b"\n"


def has(call: str, arch: Arch) -> bool:
    """Whether that architecture has a call of that name of its own."""
    return _number(Step(call), arch) is not None


def _number(step: Step, arch: Arch) -> int | None:
    abi = _COMPAT.get(arch.name, "") if "c" in step.how else _ABIS.get(arch.name, arch.name)
    return _numbers().get((step.call, abi))


@cache
def _numbers() -> Mapping[tuple[str, str], int]:
    with _TABLE.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        (row["name"], abi): int(value) for row in rows for abi, value in row.items() if abi != "name" and value != ""
    }


def _pad(path: bytes, length: int) -> bytes:
    """The same path, as long as that: /work/x becomes /work/././x."""
    folder, _, name = path.rpartition(b"/")
    missing = length - len(path)
    return folder + b"/" * (missing % 2) + b"/." * (missing // 2) + b"/" + name


def variants(  # noqa: PLR0913 - what a call's variants share
    name: str,
    *args: Arg,
    path: int | None = None,
    dirfd: int | None = None,
    before: Callable[[bytes], Iterable[Step]] = lambda _: (),
    how: str = "",
    params: tuple[tuple[str, Any], ...] = (),
    compat: bool = True,
    strange: int = 0,
) -> Iterator[Variant]:
    """The usual variants of a call that succeeds with these arguments, and of `path`, the number of that which is one:
    its parameter is the first that the argument has. `before(path)` makes it succeed; `strange` is the errno that a
    path with bytes that are no UTF-8 ends with; `dirfd` is the number of the argument that it may be relative to: of
    /work, by the step "dir"."""
    there = b"" if path is None else bytes.fromhex(args[path].word.removeprefix("s:"))
    whole = Variant("success", Step(name, args, how), before=tuple(before(there)), params=params)
    yield whole
    if compat:
        yield replace(whole, name="32-bit", step=replace(whole.step, how=f"c{how}"))
    if path is None:
        return
    param = args[path].params[0][0]

    def other(title: str, arg: Arg, fails: int = 0, steps: Iterable[Step] = ()) -> Variant:
        changed = (*args[:path], arg, *args[path + 1 :])
        # Of a call that failed, only its result is something else.
        told = tuple(pair for pair in params if pair[0] != "result") if fails else params
        return Variant(title, Step(name, changed, how), fails, tuple(steps), told)

    absent = b"/work/no-such-folder/" + there.rpartition(b"/")[2]
    odd = there + b"-\xff\xfe\xc3"
    long, longer = _pad(there, PATH_MAX - 1), _pad(there, PATH_MAX)
    yield other("failing", text(absent, param), errno.ENOENT)
    yield other("PATH_MAX", text(long, param), 0, before(there))
    yield other("too long", Arg(text(longer).word, ((param, Prefix(longer)),)), errno.ENAMETOOLONG)
    yield other("no UTF-8", text(odd, param), strange, () if strange else before(odd))
    yield other("empty", text(b"", param), errno.ENOENT)
    yield other("NULL", null(param), errno.EFAULT)
    yield other("unreadable", unreadable(param), errno.EFAULT)
    if dirfd is not None and there.startswith(b"/work/"):
        below = there.removeprefix(b"/work/")
        either = Arg(text(below).word, ((param, AnyOf((below, there))),))
        relative = other("relative", either, 0, before(there))
        moved = list(relative.step.args)
        moved[dirfd] = result("dir", args[dirfd].params[0][0])
        yield replace(relative, step=replace(relative.step, args=tuple(moved)))
