"""A cell: one kernel, on one architecture, with one driver in one mode (or none)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import arches
from lab.arches import Arch
from lab.drivers.manifest import find_driver, find_drivers
from lab.errors import RequestError
from lab.kernels import request
from lab.matrix.runs import finished


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


def left(chosen: Sequence[Cell], folder: Path) -> list[Cell]:
    """Those that are not finished in the runs below that folder; RequestError when all are."""
    done = finished(folder)
    found = [cell for cell in chosen if cell.slug not in done]
    if chosen and not found:
        raise RequestError(
            f"nothing is left to run: all {len(chosen)} cells are finished in {folder}",
            hint="without --resume they run again",
        )
    return found


def demand_one_tree(chosen: Sequence[Cell], tree: Path | None) -> None:
    """RequestError when a tree of the user's is to be the sources of more than one driver."""
    names = {find_driver(cell.driver).manifest.name: None for cell in chosen if tree and cell.driver}
    if len(names) > 1:
        raise RequestError(
            f"{tree} is one driver's sources, and {', '.join(names)} are asked for", hint="name one with --driver"
        )


def split_list(text: str) -> Sequence[str]:
    """The words of a comma-separated list, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
