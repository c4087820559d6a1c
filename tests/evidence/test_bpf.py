"""bpftool's answers as types, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.errors import LabError, UnsupportedError
from lab.evidence.bpf import (
    Btf,
    Entry,
    Link,
    Map,
    Program,
    Snapshot,
    read_entries,
    read_json,
    read_net,
    read_numbers,
    read_programs,
)
from lab.evidence.bpftool import Bpftool
from lab.machines.machine import Machine

PROGRAM = b"""[{"id":7,"type":"raw_tracepoint","name":"left","tag":"a04f5eef06a7f555","gpl_compatible":true,
"run_time_ns":120,"run_cnt":3,"bytes_xlated":16,"jited":true,"bytes_jited":21,"map_ids":[4],"btf_id":2,
"pinned":["/sys/fs/bpf/left"],"pids":[{"pid":55,"comm":"sysdig"}]}]"""


def answering(answers: dict[str, bytes], *numbers: str) -> Bpftool:
    """A bpftool whose commands have these answers; any other says nothing. `numbers` are lab-agent's, the last for
    good."""
    said = list(numbers)

    def run(_: list[str]) -> SimpleNamespace:
        return SimpleNamespace(text=said.pop(0) if len(said) > 1 else "".join(said))

    machine = SimpleNamespace(scaled=lambda seconds: seconds * 0.01, folder=SimpleNamespace(path=Path("/x")), run=run)
    return Bpftool(cast(Machine, machine), lambda words, _: answers.get(" ".join(words).removeprefix("-f "), b"[]"))


def test_a_program_has_its_counts_maps_and_holders() -> None:
    assert answering({"prog show": PROGRAM}).programs() == [
        Program(
            7,
            "raw_tracepoint",
            "left",
            "a04f5eef06a7f555",
            3,
            120,
            16,
            21,
            (4,),
            2,
            ("/sys/fs/bpf/left",),
            ("sysdig/55",),
        )
    ]


def test_entries_are_read_by_btf_and_else_as_bytes() -> None:
    told: Any = [
        {"key": ["0x01"], "value": ["0x02", "0xff"], "formatted": {"key": 1, "value": {"hits": 5}}},
        {"key": ["0x01"], "value": ["0x02", "0xff"]},
        {"key": ["0x03"], "values": [{"cpu": 0, "value": ["0x07"]}, {"cpu": 1, "value": ["0x08"]}]},
    ]
    assert read_entries(told) == [
        Entry(1, {"hits": 5}),
        Entry(b"\x01", b"\x02\xff"),
        Entry(b"\x03", None, (b"\x07", b"\x08")),
    ]


def test_bpftools_own_errors_are_told_in_its_words() -> None:
    with pytest.raises(LabError, match="get map by id"):
        read_json(b'{"error":"get map by id (99): No such file or directory"}')


def test_a_map_that_cannot_be_read_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="map 3 cannot be read"):
        answering({"map dump id 3": b'{"error":"map type 27: Operation not supported"}'}).entries(3)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(LabError, match="no JSON"):
        read_json(data)


@pytest.mark.parametrize("found", [{}, [3], [{"type": "x"}], [{"id": "7"}], [{"id": None}]])
def test_what_has_another_shape_is_refused(found: Any) -> None:
    with pytest.raises(LabError, match="bpftool in the guest said"):
        read_programs(found)


def test_places_at_devices_are_told_by_their_kind() -> None:
    (found,) = read_net([{"xdp": [{"devname": "eth0", "ifindex": 2, "id": 7}], "tc": []}])
    assert (found.kind, found.program_id, found.details["devname"]) == ("xdp", 7, "eth0")


def test_what_is_left_behind_is_what_was_not_there_before() -> None:
    before = Snapshot((Program(1, "x", "a"),), (Map(1, "hash", "m"),), (Link(1, "x", 1),), (Btf(5, 1),))
    after = Snapshot((Program(1, "x", "a"), Program(2, "x", "b")), (), (), (Btf(5, 1),))
    assert str(after.without(before)) == "program 2 'b' (x)"
    assert not before.without(before)


def test_left_behind_waits_and_leaves_out_the_kernels_own_btf() -> None:
    answers = {"prog show": PROGRAM, "btf show": b'[{"id":1,"size":9,"name":"vmlinux","kernel":true}]'}
    left = answering(answers, "program 7\n").left_behind()
    assert str(left) == "program 7 'left' (raw_tracepoint)"


def test_what_is_on_its_way_out_is_not_opened() -> None:
    asked: list[str] = []
    bpftool = answering({}, "program 7\nmap 4\n", "map 4\n", "")
    real = bpftool._run

    def run(words: tuple[str, ...], seconds: float) -> bytes:
        asked.append(" ".join(words))
        assert bpftool._machine.run([]).text == "", "bpftool opens what is still there"
        return real(words, seconds)

    bpftool._run = run
    assert not bpftool.left_behind()
    assert asked


@pytest.mark.parametrize("text", ["map", "map x", "map 1 2", "lab-agent: no\n"])
def test_what_are_no_numbers_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="no numbers"):
        read_numbers(text)
