"""Resolved kernels as bytes, for the other processes of one run on this host: no one of them resolves again."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lab.arches import ARCHES
from lab.errors import LabError
from lab.kernels.kernel import Choice

# What every process has of its own and a choice only points at, by a name that means it in each of them.
Anchors = Mapping[str, object]

# Compared by identity, so that a copy would be another one.
_ARCHES: Anchors = {f"arch {arch.name}": arch for arch in ARCHES}


def pack(found: Sequence[Choice | LabError], anchors: Anchors) -> bytes:
    """Kernels as they were resolved, or the errors for which they were not; `anchors` stay behind."""
    stream = io.BytesIO()
    _Packer(stream, anchors).dump(list(found))
    return stream.getvalue()


def unpack(data: bytes, anchors: Anchors) -> list[Choice | LabError]:
    """What was packed, pointing at this process's `anchors`. For bytes of the same run only."""
    return cast(list[Choice | LabError], _Unpacker(io.BytesIO(data), anchors).load())


class _Packer(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, anchors: Anchors) -> None:
        super().__init__(stream)
        self._names = {id(thing): name for name, thing in {**anchors, **_ARCHES}.items()}

    def persistent_id(self, thing: Any) -> str | None:
        return self._names.get(id(thing))


class _Unpacker(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, anchors: Anchors) -> None:
        super().__init__(stream)
        self._anchors = {**anchors, **_ARCHES}

    def persistent_load(self, name: str) -> object:
        return self._anchors[name]
