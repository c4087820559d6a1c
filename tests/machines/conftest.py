"""Fixtures of the machines' tests."""

from __future__ import annotations

import os
import shlex

import pytest

from lab.process import which


@pytest.fixture(scope="session")
def qemu_command() -> tuple[str, ...]:
    """The words that start QEMU for amd64 guests: LAB_TEST_QEMU, else the host's own."""
    given = shlex.split(os.environ.get("LAB_TEST_QEMU", ""))
    return tuple(given) if given else (which("qemu-system-x86_64", package="qemu-system-x86"),)
