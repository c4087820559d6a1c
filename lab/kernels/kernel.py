"""A resolved kernel, whatever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.arches import Arch


@dataclass(frozen=True)
class Kernel:
    """A kernel whose files are in the store.

    `headers` are apt's words for what a driver is built against ("linux-headers-...=version"), None when the archive
    has them no more. `provenance`: package, version, sha256, suite, archive, signed_by (a key's fingerprint).
    """

    request: str  # as asked, as a slug: it goes into test ids and file names
    release: str  # as uname -r says it
    version: str  # the package's
    series: str
    arch: Arch
    flavour: str
    suite: str
    image: Path
    modules: Path  # .../lib/modules/<release>
    config: Path
    headers: tuple[str, ...] | None
    key: str
    provenance: dict[str, Any]

    def option(self, name: str) -> str | None:
        """The value of CONFIG_`name`: "y", "m", a number or a string; None when it is not set."""
        prefix = f"CONFIG_{name.removeprefix('CONFIG_')}="
        for line in self.config.read_text().splitlines():
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip('"')
        return None
