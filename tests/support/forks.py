"""Forks for tests: each is ended with the block, also when it fails to come up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lab.machines.fork import Fork
from lab.machines.machine import Machine
from lab.matrix.forks import Forks
from lab.matrix.provision import Prepared


@contextmanager
def forked(forks: Forks, prepared: Prepared, *, parallel: bool = False) -> Iterator[Fork]:
    """A fork of that cell's template."""
    with ExitStack() as stack:

        def made(machine: Machine) -> None:
            stack.callback(machine.end)

        yield forks.start(prepared, "test", made, parallel=parallel)
