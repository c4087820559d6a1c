"""An empty disk in QEMU's own format, in which it keeps its snapshots of a machine.

qemu-img, which makes them otherwise, is no part of the lab's QEMU.
"""

from __future__ import annotations

import struct
from pathlib import Path

_MAGIC = b"QFI\xfb"
_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
# magic, version, backing file (2), cluster bits, size, encryption, L1 size, L1 offset, refcount table's offset and
# clusters, snapshots and their offset, three sets of features, refcount order, header's length
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_MOST = 256 << 20  # bytes that one table of the second level maps are 512 MiB


def make_disk(path: Path, size: int) -> None:
    """An empty disk of `size` bytes, 256 MiB at most; it grows with what is written."""
    if not 0 < size <= _MOST:
        raise ValueError(f"a disk of {size} bytes")
    # The header, the refcount table, its one block, and the first level's table of one entry: a cluster each.
    header = _HEADER.pack(
        *(_MAGIC, 3, 0, 0, _CLUSTER_BITS, size, 0, 1, 3 * _CLUSTER, _CLUSTER, 1, 0, 0, 0, 0, 0, 4, _HEADER.size)
    )
    data = bytearray(4 * _CLUSTER)
    data[: len(header)] = header
    struct.pack_into(">Q", data, _CLUSTER, 2 * _CLUSTER)
    struct.pack_into(">4H", data, 2 * _CLUSTER, 1, 1, 1, 1)
    path.write_bytes(data)
