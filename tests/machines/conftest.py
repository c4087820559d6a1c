"""Fixtures of the machines' tests."""

from __future__ import annotations

import pytest

from lab import settings
from lab.arches import AMD64
from lab.machines.qemu import own_qemu
from lab.store import Store


@pytest.fixture(scope="session")
def qemu_command() -> tuple[str, ...]:
    """The words that start the lab's own QEMU for amd64 guests."""
    chosen = settings.load()
    return own_qemu(AMD64, Store(chosen.store), chosen, lambda _: None).command
