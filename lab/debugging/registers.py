"""A CPU's registers as the stub's target description names them; and what an architecture's functions do with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lab.arches import Arch
from lab.debugging.packets import ProtocolError

# Not by an XML parser: QEMU uses the prefix xi without saying what it means.
_ELEMENT = re.compile(rb"<(xi:include|reg)\b([^<>]*)>")
_FIELD = re.compile(rb"""([a-z_]+)=(?:"([^"]*)"|'([^']*)')""")
_FILE = re.compile(r"[A-Za-z0-9._-]{1,80}")
_LARGEST = 1 << 20
_MOST = 2000
_DEEPEST = 4


@dataclass(frozen=True)
class Register:
    """One register: its number in the protocol, and its size in bytes."""

    number: int
    size: int


@dataclass(frozen=True)
class Abi:
    """How an architecture's kernel passes things: names of registers.

    `link` holds the return address where it is not on the stack. `thread_size` is a kernel stack's, in bytes.
    `low_half` is the first address that is no user's.
    """

    pc: str
    sp: str
    fp: str
    link: str
    arguments: tuple[str, ...]
    breakpoint_size: int
    thread_size: int = 16 << 10
    low_half: int = 1 << 63
    # Where return addresses are signed (arm64), the bits that a kernel address has without its signature.
    unsigned: int = 0
    # What keeps the kernel from user memory, and the stub with it: a register, its bit, and whether set means shut.
    barrier: tuple[str, int, bool] | None = None

    def plain(self, address: int) -> int:
        """A return address without its signature."""
        return address | self.unsigned if address >> 55 & 1 else address


ABIS: Mapping[str, Abi] = MappingProxyType(
    {
        "amd64": Abi("rip", "rsp", "rbp", "", ("rdi", "rsi", "rdx", "rcx", "r8", "r9"), 1),
        "arm64": Abi(
            "pc",
            "sp",
            "x29",
            "x30",
            tuple(f"x{number}" for number in range(8)),
            4,
            unsigned=0xFFFF << 48,
            barrier=("cpsr", 1 << 22, True),  # PSTATE.PAN
        ),
        "riscv64": Abi(
            "pc",
            "sp",
            "fp",
            "ra",
            tuple(f"a{number}" for number in range(8)),
            4,
            barrier=("sstatus", 1 << 18, False),  # SUM
        ),
    }
)


def abi_of(arch: Arch) -> Abi:
    """The architecture's calling convention."""
    return ABIS[arch.name]


def read_description(fetch: Callable[[str], bytes]) -> dict[str, Register]:
    """Every register by its name; `fetch(name)` returns a file of the description, "target.xml" first.

    ProtocolError when it is not one, or says nothing sensible.
    """
    registers: dict[str, Register] = {}
    _read("target.xml", fetch, registers, 0)
    if not registers:
        raise ProtocolError("the stub's description of its CPU names no register")
    return registers


def _read(name: str, fetch: Callable[[str], bytes], registers: dict[str, Register], number: int, depth: int = 0) -> int:
    """Add a file's registers, the first one without a number being `number`; returns the next number."""
    text = fetch(name)
    if len(text) > _LARGEST or depth > _DEEPEST:
        raise ProtocolError(f"the stub's description of its CPU ({name}) has no end")
    for tag, words in _ELEMENT.findall(text):
        fields = {key.decode(): (one or other).decode(errors="replace") for key, one, other in _FIELD.findall(words)}
        if tag == b"reg":
            number = _add(fields, registers, number)
            continue
        target = fields.get("href", "")
        if not _FILE.fullmatch(target):
            raise ProtocolError(f"the stub's description of its CPU includes {target[:80]!r}")
        number = _read(target, fetch, registers, number, depth + 1)
    return number


def _add(fields: Mapping[str, str], registers: dict[str, Register], number: int) -> int:
    try:
        bits, number = int(fields.get("bitsize", "")), int(fields.get("regnum", number))
    except ValueError as error:
        raise ProtocolError("the stub's description of its CPU has a register without a size") from error
    if not 0 < bits <= 1 << 16 or not 0 <= number < 1 << 16 or len(registers) >= _MOST:
        raise ProtocolError(f"the stub's description of its CPU has a register of {bits} bits")
    registers.setdefault(fields.get("name", ""), Register(number, (bits + 7) // 8))
    return number + 1
