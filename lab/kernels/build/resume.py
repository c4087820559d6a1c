"""What a build that was killed leaves behind: files that look made and are not whole."""

from __future__ import annotations

import os
from pathlib import Path

_NOTE = ".cmd"


def drop_half_made(tree: Path) -> list[Path]:
    """Remove what a killed build was writing, and return it; make then makes it again.

    kbuild notes each file's command (`.NAME.cmd`) behind the file. One that is newer than its note was being written;
    make, whose only measure is time, would take it for made.
    """
    dropped = []
    for parent, _, files in os.walk(tree):
        names = set(files)
        for note in (name for name in files if name.startswith(".") and name.endswith(_NOTE)):
            made = note[1 : -len(_NOTE)]
            if made not in names:
                continue
            path = Path(parent) / made
            if path.lstat().st_mtime_ns > (Path(parent) / note).lstat().st_mtime_ns:
                path.unlink()
                dropped.append(path)
    return dropped
