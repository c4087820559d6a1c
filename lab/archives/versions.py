"""Versions in dpkg's order, as keys for sorting: an archive lists ten thousand kernels, and comparing pairs of versions
anew each time takes seconds."""

from __future__ import annotations

import re

_PIECES = re.compile(r"(\D*)(\d*)")
_END = 0  # of a piece without digits: after a tilde, before everything else
_NOTHING = ((_END,), 0)

Piece = tuple[tuple[int, ...], int]
Key = tuple[int, tuple[Piece, ...], tuple[Piece, ...]]


def sort_key(version: str) -> Key:
    """What sorts as deb-version(7) says: [epoch:]upstream[-revision]."""
    epoch, _, rest = version.partition(":")
    if not epoch.isdecimal() or not rest:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch), _part_key(upstream), _part_key(revision)


def _part_key(text: str) -> tuple[Piece, ...]:
    pieces = [(_letters_key(letters), int(digits or 0)) for letters, digits in _PIECES.findall(text)]
    while pieces and pieces[-1] == _NOTHING:
        pieces.pop()
    # What comes behind the end is compared with nothing. Twice, because a first piece can be nothing itself ("0~").
    return (*pieces, _NOTHING, _NOTHING)


def _letters_key(text: str) -> tuple[int, ...]:
    """A tilde sorts before the end, letters before all other characters."""
    return (*(-1 if char == "~" else ord(char) + (0 if char.isalpha() else 256) for char in text), _END)
