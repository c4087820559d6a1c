"""Fixtures of the machines' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import settings
from lab.arches import AMD64, host
from lab.images.programs import build_program
from lab.images.recipe import RECIPES
from lab.machines.qemu import own_qemu
from lab.store import Store


@pytest.fixture(scope="session")
def qemu_command() -> tuple[str, ...]:
    """The words that start the lab's own QEMU for amd64 guests."""
    chosen = settings.load()
    return own_qemu(AMD64, Store(chosen.store), chosen, lambda _: None).command


@pytest.fixture(scope="session")
def agent_program() -> Path:
    """The program that runs commands in guests, for this host."""
    chosen = settings.load()
    source = RECIPES / "programs" / "lab-agent.c"
    return build_program(source, host(), Store(chosen.store), chosen, lambda _: None)
