"""Records from /dev/kmsg and from the console, whatever a guest sends."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.printk import Record, parse_console, parse_kmsg
from lab.evidence.splats import find_splats


def test_a_kmsg_record_has_its_level_facility_and_time() -> None:
    assert parse_kmsg(b"6,339,5140900,-;NET: Registered PF_INET6\n") == [
        Record(5.1409, 6, 0, "NET: Registered PF_INET6"),
    ]


def test_the_facility_stands_above_the_level() -> None:
    (record,) = parse_kmsg(b"12,340,1000000,-;from a program\n")
    assert (record.facility, record.level) == (1, 4)


def test_properties_and_further_fields_are_no_text() -> None:
    data = (
        b"6,1,10,-,caller=T1;pci 0000:00:01.0: found\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:01.0\n4,2,20,c;next; one\n"
    )
    assert [record.text for record in parse_kmsg(data)] == ["pci 0000:00:01.0: found", "next; one"]


def test_escapes_are_undone() -> None:
    (record,) = parse_kmsg(rb"6,1,10,-;tab\x09 back\x5cslash \xc3\xa4 \xff \xzz")
    assert record.text == "tab\t back\\slash ä � \\xzz"


def test_a_printk_of_two_lines_is_two_records() -> None:
    assert [record.text for record in parse_kmsg(rb"6,1,10,-;one\x0aBUG: two")] == ["one", "BUG: two"]


@pytest.mark.parametrize("data", [b"339,5140900,-;cut off", b"6,339", b";", b"", b"6,1," + b"9" * 5000 + b",-;x"])
def test_what_is_no_kmsg_record_is_left_out(data: bytes) -> None:
    assert parse_kmsg(data) == []


@pytest.mark.parametrize(
    "prefix", ["[    0.434322] ", "[    0.434322][   T12] ", "[    0.434322] [  C0] ", "<6>[    0.434322] "]
)
def test_a_console_line_loses_its_prefix(prefix: str) -> None:
    (record,) = parse_console(f"{prefix}printk: [ttyS0] enabled\r\n".encode())
    assert (record.time, record.text) == (0.434322, "printk: [ttyS0] enabled")


def test_indentation_is_kept() -> None:
    assert parse_console(b"[    1.000000]  dump_stack+0x1\r\n")[0].text == " dump_stack+0x1"


def test_lines_without_a_stamp_are_kept_without_a_time() -> None:
    assert parse_console(b"\x1bc\x1b[?7l\x1b[2JSeaBIOS (version 1.16)\r\r\n\r\nlogin: ") == [
        Record(None, None, None, "SeaBIOS (version 1.16)"),
        Record(None, None, None, "login: "),
    ]


def test_what_the_kernel_says_behind_an_open_line_is_its_own() -> None:
    assert parse_console(b"guest# [   12.500000] BUG: scheduling while atomic: x/1/2\n") == [
        Record(None, None, None, "guest# "),
        Record(12.5, None, None, "BUG: scheduling while atomic: x/1/2"),
    ]


def test_garbage_in_a_line_does_not_hide_it() -> None:
    assert parse_console(b"\x00\x00[    1.000000] Ker\x00nel panic\xff\n")[0] == Record(
        1.0, None, None, "Kernel panic�"
    )


@given(st.binary(max_size=2000))
def test_no_bytes_make_the_scanner_raise(data: bytes) -> None:
    find_splats(parse_kmsg(data))
    find_splats(parse_console(data))


_PIECES = st.sampled_from(
    [
        *(b"[", b"    1.000000] ", b"<4>", b"[ T1]", b"\n", b"\r\n", b"\x1b[", b"6,1,2,-;", b"\\x0a", b"\xff", b" "),
        *(
            b"------------[ cut here ]------------",
            b"---[ end trace ",
            b"BUG: ",
            b"Oops: ",
            b"INFO: task ",
            b"WARNING: ",
        ),
        *(b"Linux version ", b"KASAN: ", b"====================", b"rcu: INFO: rcu_x", b"Kernel panic - not syncing"),
    ]
)


@given(st.lists(_PIECES, max_size=60))
def test_nor_do_pieces_of_kernel_text(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for splat in find_splats(parse_console(data)) + find_splats(parse_kmsg(data)):
        assert 1 <= len(splat.lines) <= 60


@pytest.mark.parametrize(
    "data",
    [
        b"[    1.0" * 200_000,
        b"[ 1.000000] INFO: task " + b" blocked " * 200_000,
        b"\x1b[" * 500_000,
        b"[" + b" " * 10**6,
    ],
)
def test_hostile_lines_take_no_time(data: bytes) -> None:
    begun = time.monotonic()
    find_splats(parse_console(data))
    find_splats(parse_kmsg(data))
    assert time.monotonic() - begun < 5
