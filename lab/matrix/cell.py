"""A cell: one kernel, on one architecture, with one driver in one mode (or none)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab import arches
from lab.arches import Arch


@dataclass(frozen=True)
class Cell:
    """What was asked for, not yet resolved; `driver` is empty for a bare guest."""

    kernel: str
    arch: Arch
    driver: str

    @property
    def slug(self) -> str:
        """As it stands in test ids: KERNEL-ARCH-DRIVER:MODE."""
        words = [word for word in (self.kernel, self.arch.name, self.driver) if word]
        return "-".join(re.sub(r"[^A-Za-z0-9._:+-]+", "_", word) for word in words)


def cells(kernels: str, arch_names: str, drivers: str) -> list[Cell]:
    """All combinations of three comma-separated lists, in the order in which they were written."""
    chosen = arches.find_all(split_list(arch_names))
    return [Cell(*words) for words in itertools.product(split_list(kernels), chosen, split_list(drivers))]


def split_list(text: str) -> Sequence[str]:
    """The words of a comma-separated list, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
