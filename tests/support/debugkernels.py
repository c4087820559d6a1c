"""Kernels that `make debug-kernels` has built, and runs of scenarios on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.arches import Arch
from lab.errors import RequestError
from lab.matrix.provision import Lab
from tests.support.runs import Place

KGDB = "build:6.12+kgdb"
EVERYTHING = "build:6.12+fault+kasan+kmemleak+lockdep"
DEADLINE = 1800.0


def built(lab: Lab, request: str, arch: Arch) -> str:
    """The request, when that kernel has been built here; else the test is not run."""
    try:
        lab.kernels.resolve(request, arch)
    except RequestError as error:
        pytest.skip(f"not run here: {error.what} ({error.hint})")
    return request


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
