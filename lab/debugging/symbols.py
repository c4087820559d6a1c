"""A running kernel's symbols at the addresses where they really are, as the guest's /proc/kallsyms tells them."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.errors import LabError
from lab.machines.fork import Fork
from lab.machines.machine import Machine

_LINE = re.compile(r"([0-9a-f]{8,16}) ([A-Za-z?]) ([^\s\[\]]{1,512})(?:\t\[([A-Za-z0-9_.:-]{1,64})\])?")
_MOST = 4_000_000
_READ_DEADLINE = 30.0  # on hardware
# By a file: in large pieces the kernel makes them in a third of the time that it takes into a pipe.
_READ = "dd if=/proc/kallsyms of=/run/lab-symbols bs=1M status=none && cat /run/lab-symbols; rm -f /run/lab-symbols"
_CODE = "tTwW"
# How compilers call what is left of a function that they changed, or moved parts of away.
_PIECE = re.compile(r"\.(?:constprop|isra|part|cold|llvm|localalias)\b")
_SECTION = re.compile(r"/sys/module/([A-Za-z0-9_]{1,64})/sections/([^\s/:]{1,128}):0x([0-9a-f]{1,16})")
_GONE = 0x4000_0000  # bytes: no function is as large, what is further behind one is nothing that is known


def _is_mark(name: str) -> bool:
    """Is it a linker script's mark, as __noinstr_text_start, or a section's end?"""
    return name.startswith("__") and name.endswith(("_start", "_end"))


class NoSymbolError(LabError):
    """There is no such symbol in the guest, or more than one."""


@dataclass(frozen=True)
class Symbol:
    """A name and where it is; `module` is empty for the kernel's own, `kind` as nm has it."""

    address: int
    name: str
    module: str
    kind: str

    def __str__(self) -> str:
        return f"{self.name} [{self.module}]" if self.module else self.name


class Symbols:
    """All symbols of a running kernel and its modules, at the time when they were read."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        # Of several at one address a function's own name comes last, and is the one that is told.
        self._symbols = sorted(symbols, key=lambda symbol: (symbol.address, not _is_mark(symbol.name)))

    def __len__(self) -> int:
        return len(self._symbols)

    def all(self) -> Sequence[Symbol]:
        """Every symbol, by address."""
        return self._symbols

    def named(self, name: str, module: str | None = None) -> list[Symbol]:
        """Every symbol of that name; of that module only when it is given ("" for the kernel itself)."""
        return [symbol for symbol in self._by_name.get(name, []) if module in (None, symbol.module)]

    def address(self, name: str) -> int:
        """Where `name`, or `module:name`, is.

        NoSymbolError when there is none, as for a function that the compiler inlined everywhere, or several.
        """
        module, _, plain = name.rpartition(":")
        found = self.named(plain, module or None)
        if len({symbol.address for symbol in found}) == 1:
            return found[0].address
        if found:
            places = ", ".join(f"{symbol} at {symbol.address:#x}" for symbol in found[:8])
            raise NoSymbolError(f"{plain} is {len(found)} times in the guest: {places}", hint="give the address")
        raise NoSymbolError(*self._why_not(plain, module))

    def _why_not(self, name: str, module: str) -> tuple[str]:
        elsewhere = self.named(name)
        if elsewhere:
            return (f"{name} is not in {module}, but {elsewhere[0]}",)
        pieces = sorted(known for known in self._by_name if known.startswith(f"{name}.") and _PIECE.search(known))
        if pieces:
            return (f"the compiler made {', '.join(pieces[:5])} of {name}, which is not there by itself",)
        where = f"module {module}" if module else "the guest's kernel and modules"
        return (f"{where} has no symbol {name}: it does not exist there, or it was inlined into all its callers",)

    def at(self, address: int) -> str:
        """What lies at an address, as `name+0x12` with its module; empty when nothing that is known does."""
        found = self.symbol_at(address)
        if found is None:
            return ""
        offset = address - found.address
        return f"{found.name}{f'+{offset:#x}' if offset else ''}{f' [{found.module}]' if found.module else ''}"

    def symbol_at(self, address: int) -> Symbol | None:
        """The last code symbol at or before an address."""
        at = bisect.bisect_right(self._code_addresses, address) - 1
        if at < 0 or address - self._code[at].address > _GONE:
            return None
        return self._code[at]

    def is_code(self, address: int) -> bool:
        """Whether an address lies in the kernel's text or a module's, as far as symbols tell."""
        found = self.symbol_at(address)
        if found is None:
            return False
        low, high = self._extents[found.module]
        return low <= address < high

    @cached_property
    def _by_name(self) -> dict[str, list[Symbol]]:
        names: dict[str, list[Symbol]] = {}
        for symbol in self._symbols:
            names.setdefault(symbol.name, []).append(symbol)
        return names

    @cached_property
    def _code(self) -> list[Symbol]:
        return [symbol for symbol in self._symbols if symbol.kind in _CODE and symbol.address]

    @cached_property
    def _code_addresses(self) -> list[int]:
        return [symbol.address for symbol in self._code]

    @cached_property
    def _extents(self) -> dict[str, tuple[int, int]]:
        """From a module's first function to a page behind its last; the kernel's text where it says so itself."""
        extents: dict[str, tuple[int, int]] = {}
        for symbol in self._code:
            low, _ = extents.get(symbol.module, (symbol.address, 0))
            extents[symbol.module] = (low, symbol.address + 4096)
        ends = self.named("_etext", "")
        starts = self.named("_stext", "")
        if starts and ends:
            extents[""] = (starts[0].address, ends[0].address)
        return extents


def parse_kallsyms(data: bytes) -> Symbols:
    """The symbols in what was read from /proc/kallsyms.

    NoSymbolError when there is none, or the addresses are hidden (kptr_restrict), all of them being 0.
    """
    symbols: list[Symbol] = []
    for line in data.decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        if len(symbols) >= _MOST:
            raise NoSymbolError(f"the guest tells more than {_MOST} symbols")
        symbols.append(Symbol(int(match[1], 16), match[3], match[4] or "", match[2]))
    if not any(symbol.address for symbol in symbols):
        what = "the guest hides its symbols' addresses" if symbols else "the guest tells no symbols"
        raise NoSymbolError(what, hint="its kernel needs CONFIG_KALLSYMS, and kernel.kptr_restrict 0 or 1")
    return Symbols(symbols)


def read_symbols(machine: Machine, deadline: float = _READ_DEADLINE) -> Symbols:
    """The symbols of a running guest, read from it now (`deadline` in seconds on hardware)."""
    return parse_kallsyms(machine.run(["sh", "-c", _READ], deadline=deadline).stdout)


def symbols_once(machine: Machine, known: dict[str, Symbols]) -> Symbols:
    """The same, read once for all forks of a template: they are kept in `known`."""
    key = machine.template.serial if isinstance(machine, Fork) else machine.folder.name
    if key not in known:
        known[key] = read_symbols(machine)
    return known[key]


def parse_sections(data: bytes) -> dict[str, dict[str, int]]:
    """Where each module's sections are, by module and section's name, out of `PATH:ADDRESS` lines."""
    found: dict[str, dict[str, int]] = {}
    for line in data.decode(errors="replace").splitlines():
        match = _SECTION.fullmatch(line)
        if match:
            found.setdefault(match[1], {})[match[2]] = int(match[3], 16)
    return found


def read_sections(machine: Machine, module: str) -> dict[str, int]:
    """Where the sections of a loaded module are; NoSymbolError when it is not loaded."""
    script = 'cd "/sys/module/$1/sections" && grep -H . .[!.]* * /dev/null 2>/dev/null | sed "s|^|$PWD/|"; true'
    done = machine.run(["sh", "-c", script, "sh", module], check=False)
    found = parse_sections(done.stdout).get(module)
    if not found:
        raise NoSymbolError(f"module {module} is not loaded in the guest", hint="load it first")
    return found
