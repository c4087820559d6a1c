"""Disks in QEMU's own format, as far as the lab makes and reads them: an empty one, and what a guest wrote to it.

QEMU keeps its snapshots of a machine in such a disk. qemu-img, which makes them otherwise, is no part of the lab's.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from lab.errors import LabError

_MAGIC = b"QFI\xfb"
_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
# magic, version, backing file (2), cluster bits, size, encryption, L1 size, L1 offset, refcount table's offset and
# clusters, snapshots and their offset, three sets of features, refcount order, header's length
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_ADDRESS = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
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


def read_disk(path: Path, size: int) -> bytes:
    """The disk's first `size` bytes, as they are now and not in a snapshot; zeros where nothing was written.

    LabError for a file that is no disk of `make_disk`.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEADER.size)
        if len(head) < _HEADER.size or head[:4] != _MAGIC:
            raise LabError(f"{path.name} is no qcow2 disk")
        fields = _HEADER.unpack(head)
        cluster_bits, disk, first, table = fields[4], fields[5], fields[7], fields[8]
        if cluster_bits != _CLUSTER_BITS or first < 1 or size > min(disk, _MOST):
            raise LabError(f"{path.name} is no disk that the lab made")
        (second,) = struct.unpack(">Q", _at(stream, table, 8))
        if not second & _ADDRESS:
            return bytes(size)
        entries = struct.unpack(f">{_CLUSTER // 8}Q", _at(stream, second & _ADDRESS, _CLUSTER))
        parts = []
        for entry in entries[: -(-size // _CLUSTER)]:
            if entry & _COMPRESSED:
                raise LabError(f"{path.name} is no disk that the lab made")
            place = entry & _ADDRESS
            parts.append(_at(stream, place, _CLUSTER) if place and not entry & 1 else bytes(_CLUSTER))
    return b"".join(parts)[:size]


def _at(stream: BinaryIO, place: int, size: int) -> bytes:
    stream.seek(place)
    data = stream.read(size)
    return data + bytes(size - len(data))
