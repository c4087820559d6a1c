"""A cell: one kernel, on one architecture, with one driver in one mode (or none)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab import arches
from lab.arches import Arch
from lab.drivers.manifest import find_drivers
from lab.kernels import request


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


def cells(kernels: str, arch_names: str, drivers: str, expand: Callable[[str, Arch], Sequence[str]]) -> list[Cell]:
    """All combinations of three comma-separated lists, each once, in the order in which they were written.

    `expand` gives the kernels that a request for several (`all`, a range) means on an architecture; it is asked for
    those only.
    """
    chosen = arches.find_all(split_list(arch_names))
    found = [
        Cell(kernel, arch, driver)
        for text in request.split(kernels)
        for arch in chosen
        for kernel in (expand(text, arch) if request.means_several(text) else [text])
        for driver in find_drivers(drivers)
    ]
    return list(dict.fromkeys(found))  # a range may hold what stands beside it


def split_list(text: str) -> Sequence[str]:
    """The words of a comma-separated list, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
