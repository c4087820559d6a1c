"""What a bundle says of how its scenario was run, and the command that runs it again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.errors import RequestError

_FILE = "repro.json"
_OPTIONS = ("kernel", "arch", "driver", "driver-src", "artifact", "vm", "profile", "fuzz-seed")
_REPEATABLE = ("driver-src", "artifact")
# A bundle may come from somebody else: nothing in it may become an option of pytest's.
_VALUE = re.compile(r"[A-Za-z0-9_./][^\0\n]{0,499}")


def write_repro(place: Path, what: Mapping[str, Any]) -> None:
    """Keep `scenario` (its file and name), `folder` (from which it was run) and the options."""
    (place / _FILE).write_text(json.dumps(dict(what), indent=1) + "\n")


def read_repro(bundle: Path) -> tuple[list[str], Path]:
    """pytest's arguments, and the folder to run it in; RequestError for what is no bundle."""
    try:
        found = json.loads((bundle / _FILE).read_text())
        scenario, folder = found["scenario"], found["folder"]
        options = [(name, value) for name in _OPTIONS for value in _values(name, found.get(name))]
        for value in (scenario, folder, *(value for _, value in options)):
            if not isinstance(value, str) or not _VALUE.fullmatch(value):
                raise ValueError(f"{value!r} is no word")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"{bundle} is no bundle that can be run again: {error}",
            hint="name one that pytest left, lab-bundles/run-.../...",
        ) from error
    arguments = [word for name, value in options for word in (f"--{name}", value)]
    return [scenario, *arguments], Path(folder)


def _values(option: str, found: Any) -> list[Any]:
    """An option's values: none, one, or for some a list of them."""
    if found is None:
        return []
    return found if option in _REPEATABLE and isinstance(found, list) else [found]
