"""What the tests on kernels for debugging share; one whose kernel was not built says "not run here"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import arches, settings
from lab.arches import Arch
from lab.matrix.provision import Lab
from tests.support.runs import Place


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab(settings.load(), lambda _: None)


@pytest.fixture(scope="module", params=["amd64", "arm64"])
def arch(request: pytest.FixtureRequest) -> Arch:
    return arches.find(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.folders() == [], "a machine's folder stayed"
