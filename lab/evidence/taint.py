"""What a kernel holds against itself: its taint flags (Documentation/admin-guide/tainted-kernels.rst)."""

from __future__ import annotations

from collections.abc import Sequence

from lab.evidence.splats import Splat
from lab.machines.machine import Machine

KIND = "taint"
_FLAGS = "PFSRMBUDAWCIOELKXTNJ"  # by their bits
# Which of them mean that something went wrong, and not just that something was loaded.
_TROUBLE = {
    "F": "a module was loaded by force",
    "R": "a module was unloaded by force",
    "M": "a machine check came",
    "B": "a page or an object was found bad",
    "D": "it died (oops or BUG)",
    "W": "it warned",
    "L": "a CPU was locked up",
}


def read_taint(machine: Machine) -> frozenset[str]:
    """The letters of the flags that the guest's kernel has set; empty where it does not tell.

    MachineLostError as every command's.
    """
    said = machine.read("/proc/sys/kernel/tainted").stdout.strip()
    return letters(int(said)) if said.isdigit() and len(said) < 20 else frozenset()


def letters(number: int) -> frozenset[str]:
    """The flags in /proc/sys/kernel/tainted's number, by their letters."""
    return frozenset(letter for bit, letter in enumerate(_FLAGS) if number >> bit & 1)


def taint_splat(flags: frozenset[str], splats: Sequence[Splat]) -> Splat | None:
    """A complaint of its own when a kernel says that something went wrong and its log does not show what: the lines
    were overwritten, or somebody cleared the log."""
    trouble = [letter for letter in _TROUBLE if letter in flags]
    if not trouble or splats:
        return None
    title = f"the kernel is tainted: {', '.join(f'{letter} ({_TROUBLE[letter]})' for letter in trouble)}"
    return Splat(KIND, title, (title, "and nothing in its log says why"), None)
