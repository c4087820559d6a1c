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
    first = symbols.at(pc) if symbols.is_code(pc) else f"{pc:#x}"
    stack = _stack(remote, sp, abi)
    if stack is None:
        return Backtrace(cpu, Method.NONE, (first,), user=False)
    if method is Method.FRAME_POINTERS:
        found = _by_frame_pointers(remote.register(abi.fp), sp, stack, abi, symbols)
    else:
        found = _by_scan(stack, symbols)
    link = remote.register(abi.link) if abi.link else 0
    leaf = symbols.at(link) if link and symbols.is_code(link) else ""
    inner = [first, leaf] if leaf and leaf not in found[:1] else [first]
    return Backtrace(cpu, method, tuple([*inner, *found][:_MOST_FRAMES]), user=False)


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
        address = int.from_bytes(stack[at + _WORD : at + 2 * _WORD], "little")
        if not symbols.is_code(address):
            break
        found.append(symbols.at(address))
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
