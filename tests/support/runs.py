"""Runs of the lab in processes of their own, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = ROOT / "tests" / "support" / "drivers"
DEADLINE = 900.0
LAB = [sys.executable, "-c", "from lab.cli.main import entrypoint; entrypoint()"]


@dataclass(frozen=True)
class Place:
    """Folders of one run: nothing of it lies anywhere else, but for the store."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def machines(self) -> Path:
        return self.root / "machines"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    def variables(self) -> dict[str, str]:
        return {**os.environ, "LAB_RUN_DIR": str(self.machines), "PYTHONDONTWRITEBYTECODE": "1", **self.environment}

    def pytest(self, *arguments: str, prefix: Sequence[str] = ()) -> list[str]:
        """The command line of `pytest` with its bundles in this place."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--bundle-dir", str(self.bundles)]
        return [*prefix, *command, *arguments]

    def run(self, argv: Sequence[str], deadline: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Run to the end; stdout and stderr as one text."""
        return subprocess.run(
            argv,
            cwd=ROOT,
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=deadline,
            check=False,
        )

    def start(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start and return at once."""
        return subprocess.Popen(
            argv, cwd=ROOT, env=self.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def folders(self) -> list[Path]:
        """The folders of machines that are there now."""
        return [path for path in self.machines.glob("*") if path.is_dir()] if self.machines.is_dir() else []


def until(condition: Callable[[], bool], deadline: float) -> None:
    """Wait until the condition holds; AssertionError after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"did not come true within {deadline:.0f} s"
        time.sleep(0.02)
