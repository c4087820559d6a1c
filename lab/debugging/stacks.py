"""Stacks of CPUs that stand still, by what a stub can see: registers and memory. Each says how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lab.debugging.registers import Abi
from lab.debugging.remote import Remote, StubError
from lab.debugging.symbols import Symbols

_MOST_FRAMES = 64
_WORD = 8


class Method(StrEnum):
    """How a stack was followed; a scan's frames may be left over from earlier calls."""

    FRAME_POINTERS = "frame pointers"
    SCAN = "a scan of the stack: a frame may be a leftover"
    NONE = "registers only"


@dataclass(frozen=True)
class Backtrace:
    """One CPU's stack, innermost function first, as `function+offset [module]`."""

    cpu: int
    method: Method
    frames: tuple[str, ...]
    user: bool  # the CPU runs a program, and its kernel stack is empty

    def __str__(self) -> str:
        lines = [f"CPU {self.cpu}, {'in user space' if self.user else self.method}:"]
        return "\n".join([*lines, *(f"  {frame}" for frame in self.frames)])


def backtrace(remote: Remote, cpu: int, abi: Abi, symbols: Symbols, method: Method) -> Backtrace:
    """The stack of a CPU that `remote` has selected. Never raises for what a broken guest's stack holds."""
    pc, sp = remote.register(abi.pc), remote.register(abi.sp)
    if pc < abi.low_half:
        return Backtrace(cpu, Method.NONE, (f"{pc:#x}",), user=True)
    own = symbols.symbol_at(pc)
    first = symbols.at(pc) if symbols.is_code(pc) else f"{pc:#x}"
    stack = _stack(remote, sp, abi)
    if stack is None:
        return Backtrace(cpu, Method.NONE, (first,), user=False)
    if method is Method.FRAME_POINTERS:
        found = _by_frame_pointers(remote.register(abi.fp), sp, stack, abi, symbols)
    else:
        found = _by_scan(stack, symbols)
    inner = [first]
    link = abi.plain(remote.register(abi.link)) if abi.link else 0
    # A link into the function itself is left over from a call that has returned.
    if symbols.is_code(link) and symbols.symbol_at(link - 1) != own and _called_from(link, symbols) not in found[:1]:
        inner.append(_called_from(link, symbols))
    return Backtrace(cpu, method, tuple([*inner, *found][:_MOST_FRAMES]), user=False)


def _called_from(address: int, symbols: Symbols) -> str:
    """A return address by the function that called: one that never returns ends before it."""
    found = symbols.symbol_at(address - 1)
    if found is None:
        return f"{address:#x}"
    return f"{found.name}+{address - found.address:#x}{f' [{found.module}]' if found.module else ''}"


def _stack(remote: Remote, sp: int, abi: Abi) -> bytes | None:
    """From the stack pointer to where the kernel stack ends: it is as large as it is aligned."""
    end = (sp | (abi.thread_size - 1)) + 1
    try:
        return remote.read(sp, end - sp) if sp >= abi.low_half else None
    except StubError:
        return None


def _by_frame_pointers(fp: int, sp: int, stack: bytes, abi: Abi, symbols: Symbols) -> list[str]:
    """The return addresses along the chain of frame pointers, as far as it stays in the stack and rises."""
    # riscv64's frame pointer is behind the pair that it chains by, the others' before it.
    back = 2 * _WORD if abi.link == "ra" else 0
    found: list[str] = []
    last = 0
    while len(found) < _MOST_FRAMES and fp > last:
        at = fp - back - sp
        if at < 0 or at + 2 * _WORD > len(stack) or at % _WORD:
            break
        following = int.from_bytes(stack[at : at + _WORD], "little")
        address = abi.plain(int.from_bytes(stack[at + _WORD : at + 2 * _WORD], "little"))
        if not symbols.is_code(address):
            break
        found.append(_called_from(address, symbols))
        last, fp = fp, following
    return found


def _by_scan(stack: bytes, symbols: Symbols) -> list[str]:
    """Everything on the stack that is an address within a function."""
    found = []
    for at in range(0, len(stack) - _WORD + 1, _WORD):
        address = int.from_bytes(stack[at : at + _WORD], "little")
        if not symbols.is_code(address):
            continue
        # Nothing returns to a function's first instruction: that is a pointer to the function.
        name = symbols.at(address)
        if "+0x" in name:
            found.append(name)
        if len(found) >= _MOST_FRAMES:
            break
    return found
