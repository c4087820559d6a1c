"""Commands to bpftool are what they should be, and those that the kernel refuses are counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from lab.drivers.tamper import Tampered, Tampering
from lab.machines.machine import Machine
from lab.machines.result import Result

MAPS = [
    {"id": 7, "type": "prog_array", "name": "tap_tails", "bytes_key": 4, "bytes_value": 4, "max_entries": 4},
    {"id": 8, "type": "array", "name": "interesting_sys", "bytes_key": 4, "bytes_value": 2, "max_entries": 512},
]
LINKS = [{"id": 3, "type": "perf_event", "prog_id": 1}]


class Guest:
    """A machine whose bpftool refuses what names `refused`."""

    def __init__(self, refused: str = "") -> None:
        self.batches: list[str] = []
        self.refused = refused

    def scaled(self, seconds: float) -> float:
        return seconds

    def write(self, _: str, data: bytes) -> None:
        self.batches.append(data.decode())

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        if argv[-1] == "show":
            return Result(tuple(argv), 0, json.dumps(MAPS if "map" in argv else LINKS).encode(), b"")
        words = self.batches[-1] if "batch" in argv else " ".join(argv)
        return Result(tuple(argv), int(bool(self.refused) and self.refused in words), b"", b"")


def tampering(guest: Guest) -> Tampering:
    return Tampering(cast(Machine, guest))


def test_maps_are_found_by_kind_and_by_as_much_of_their_name_as_the_kernel_keeps() -> None:
    found = tampering(Guest())
    assert [item.id for item in found.maps(kind="prog_array")] == [7]
    assert [item.id for item in found.maps(name="interesting_syscalls_table")] == [8]


def test_entries_are_deleted_and_overwritten_by_their_numbers() -> None:
    guest = Guest()
    tails, calls = tampering(guest).maps()
    assert tampering(guest).delete(tails, (0, 263)) == Tampered(2, 0)
    assert tampering(guest).zero(calls, [1]) == Tampered(1, 0)
    assert tampering(guest).detach_links() == Tampered(1, 0)
    assert guest.batches == [
        "map delete id 7 key hex 00 00 00 00\nmap delete id 7 key hex 07 01 00 00\n",
        "map update id 8 key hex 01 00 00 00 value hex 00 00\n",
        "link detach id 3\n",
    ]


@pytest.mark.parametrize(("refused", "expected"), [("hex 02", Tampered(2, 1)), ("delete", Tampered(0, 3))])
def test_what_the_kernel_refuses_does_not_keep_the_rest_from_being_done(refused: str, expected: Tampered) -> None:
    guest = Guest(refused)
    assert tampering(guest).delete(tampering(guest).maps()[0], (1, 2, 3)) == expected
