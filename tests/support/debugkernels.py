"""Kernels that `make debug-kernels` has built, and runs of scenarios on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.arches import Arch
from lab.errors import RequestError
from lab.matrix.provision import Lab
from tests.support.runs import Place

_ALL = "build:6.12+fault+kasan+kgdb+kmemleak+lockdep"
# Each with what serves as well, where only that was built.
KGDB = ("build:6.12+kgdb", _ALL)
EVERYTHING = ("build:6.12+fault+kasan+kmemleak+lockdep", _ALL)
DEADLINE = 1800.0


def built(lab: Lab, requests: Sequence[str], arch: Arch) -> str:
    """The first of the requests whose kernel has been built here; without one the test is not run."""
    said = []
    for request in requests:
        try:
            lab.kernels.resolve(request, arch)
        except RequestError as error:
            said.append(f"{error.what} ({error.hint})")
        else:
            return request
    pytest.skip(f"not run here: {said[0]}")


class Ran:
    """A run of scenarios: what pytest printed, verdicts by the scenarios' functions, and what their bundles tell."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self._place = place
        self.said = place.run(place.pytest("-rs", *arguments), DEADLINE).stdout
        paths = place.bundles.rglob("results.jsonl")
        rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
        self.verdicts = {_function(row["scenario"]): row["verdict"] for row in rows}

    def splats(self, scenario: str) -> list[dict[str, Any]]:
        """What the kernel complained about in a scenario that has a bundle."""
        (path,) = [path for path in self._place.bundles.rglob("splats.json") if self._is_of(path, scenario)]
        told: list[dict[str, Any]] = json.loads(path.read_text())
        return told

    @staticmethod
    def _is_of(path: Path, scenario: str) -> bool:
        return path.parent.name.startswith(scenario)


def _function(scenario: str) -> str:
    return scenario.partition("::")[2].partition("[")[0]
