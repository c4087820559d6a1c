"""What fills a store's entries in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.store import Store

INPUTS = {"what": "a test"}


class Filler:
    """Fills an entry with one file and counts how often it was asked."""

    def __init__(self, content: str = "content") -> None:
        self.content = content
        self.calls = 0

    def __call__(self, folder: Path) -> dict[str, Any]:
        self.calls += 1
        (folder / "file").write_text(self.content)
        return {"made": self.calls}


def leftovers(store: Store) -> list[Path]:
    return [*(store.root / "tmp").iterdir(), *(store.root / "entries").glob("*/*")]


def truncate(entry: Path) -> None:
    """Damage that a power cut does."""
    (entry / "files" / "file").write_text("")
