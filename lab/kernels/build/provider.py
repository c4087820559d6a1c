"""Kernels that `lab kernel build` has made: `build:6.12+kgdb`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lab.arches import Arch
from lab.errors import RequestError
from lab.kernels.build.compile import KIND, note_name
from lab.kernels.build.wish import Wish, parse
from lab.kernels.kernel import Kernel
from lab.kernels.local.provider import LocalChoice
from lab.settings import Settings
from lab.store import Entry, Store


@dataclass(frozen=True)
class BuiltChoice:
    """A kernel that was compiled here. `version` is the sources' where they are Debian's."""

    wish: Wish
    arch: Arch
    store: Store
    entry: Entry
    origin: str = "build"

    @property
    def release(self) -> str:
        return str(self.entry.provenance["release"])

    @property
    def version(self) -> str:
        return str(self.entry.provenance.get("version", "own sources"))

    def fetch(self) -> Kernel:
        """The kernel in the store."""
        local = LocalChoice(
            self.wish.request, self.release, self.version, self.arch, self.store, self.entry.files, self.origin
        )
        provenance = {"version": self.version, **self.entry.provenance}
        return replace(local.fetch(), version=self.version, flavour=self.wish.name, provenance=provenance)


class BuiltKernels:
    """Kernels that the lab compiled. Nothing is compiled unasked: it takes a quarter of an hour."""

    def __init__(self, store: Store, _settings: Settings, _notice: Callable[[str], None]) -> None:
        self._store = store

    def resolve(self, text: str, arch: Arch) -> BuiltChoice:
        """The kernel that was last built for the request; RequestError with the command that builds it."""
        wish = parse(text)
        inputs = self._noted(wish, arch)
        entry = self._store.find(KIND, inputs) if inputs else None
        if entry is None:
            source = f" --source {wish.source}" if wish.source else ""
            raise RequestError(
                f"kernel {wish.name} has not been built for {arch.name}",
                hint=f"lab kernel build {wish.name} --arch {arch.name}{source}",
            )
        return BuiltChoice(wish, arch, self._store, entry)

    def _noted(self, wish: Wish, arch: Arch) -> dict[str, Any] | None:
        try:
            note = json.loads((self._store.state("built") / f"{note_name(wish, arch)}.json").read_bytes())
            inputs = note["inputs"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return inputs if isinstance(inputs, dict) else None
