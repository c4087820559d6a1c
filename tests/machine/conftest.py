"""What the tests that boot machines share: a lab on the user's own store, and machines of its default kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import arches, settings
from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.matrix.cell import Cell
from lab.matrix.forks import Forks
from lab.matrix.provision import Lab, Prepared
from tests.support.forks import forked


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here boots machines."""
    for item in items:
        if item.path.parent.name == "machine":
            item.add_marker(pytest.mark.machine)


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab(settings.load(), lambda _: None)


@pytest.fixture(scope="session")
def bare(lab: Lab) -> Prepared:
    """The default kernel without a driver."""
    return lab.prepare(Cell(lab.settings.kernel, arches.AMD64, ""))


@pytest.fixture(scope="session")
def forks(lab: Lab) -> Forks:
    return Forks(lab)


@pytest.fixture
def fork(forks: Forks, bare: Prepared) -> Iterator[Fork]:
    """A running guest without a driver, of its own."""
    with forked(forks, bare) as machine:
        yield machine


@pytest.fixture
def booted(lab: Lab, bare: Prepared) -> Iterator[Machine]:
    """As `fork`, but booted, which takes ten times as long: for what a fork has behind it."""
    with lab.machine(bare, "test") as machine:
        machine.start()
        yield machine
