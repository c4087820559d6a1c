"""Records from /dev/kmsg and from the console, whatever a guest sends."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.printk import Record, merged, parse_console, parse_kmsg, since
from lab.evidence.splats import find_splats


def test_a_kmsg_record_has_its_level_facility_and_time() -> None:
    assert parse_kmsg(b"6,339,5140900,-;NET: Registered PF_INET6\n") == [
        Record(5.1409, 6, 0, "NET: Registered PF_INET6", sequence=339),
    ]


def test_the_facility_stands_above_the_level() -> None:
    (record,) = parse_kmsg(b"12,340,1000000,-;from a program\n")
    assert (record.facility, record.level) == (1, 4)


def test_properties_and_further_fields_are_no_text() -> None:
    data = (
        b"6,1,10,-,caller=T1;pci 0000:00:01.0: found\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:01.0\n4,2,20,c;next; one\n"
    )
    assert [record.text for record in parse_kmsg(data)] == ["pci 0000:00:01.0: found", "next; one"]


def test_the_caller_is_told_by_both_sources() -> None:
    (record,) = parse_kmsg(b"6,1,434322,-,caller=C0;said\n")
    (printed,) = parse_console(b"[    0.434322][    C0] said\r\n")
    assert (record.caller, printed.caller) == ("C0", "C0")


def test_pieces_of_a_line_are_joined_though_another_came_between() -> None:
    data = b"6,1,10,-,caller=T1;one\n6,2,11,-,caller=T2;other\n6,3,12,c,caller=T1; two\n6,4,13,+,caller=T1; three\n"
    assert [record.text for record in parse_kmsg(data)] == ["one two three", "other"]


def test_a_program_cannot_continue_the_kernels_line() -> None:
    data = b"6,1,10,-,caller=T1;one\n14,2,11,c,caller=T1;BUG: made up\n"
    assert [record.text for record in parse_kmsg(data)] == ["one", "BUG: made up"]


def test_a_log_from_a_moment_on() -> None:
    records = [Record(1.0, 6, 0, "a"), Record(2.0, 6, 0, "b"), Record(None, None, None, "x"), Record(3.0, 6, 0, "c")]
    assert [record.text for record in since(records, 2.0)] == ["b", "x", "c"]
    assert [record.text for record in since(records, records[1])] == ["x", "c"]
    assert since(records, records[3]) == []
    assert since(records, 0.0) == records


def test_of_a_record_that_the_ring_has_lost_the_time_counts() -> None:
    records = [Record(2.0, 6, 0, "b"), Record(3.0, 6, 0, "c")]
    assert since(records, Record(2.5, 6, 0, "gone")) == records[1:]


def test_what_programs_print_on_the_console_keeps_its_place() -> None:
    kmsg = [Record(1.0, 6, 0, "a"), Record(3.0, 6, 0, "c")]
    console = [Record(1.0, None, None, "a"), Record(None, None, None, "login:"), Record(3.0, None, None, "c")]
    assert [record.text for record in merged(kmsg, console)] == ["a", "login:", "c"]


def test_a_line_said_twice_at_one_moment_is_kept_twice() -> None:
    twice = [Record(1.0, 6, 0, "a"), Record(1.0, 6, 0, "a")]
    assert len(merged(twice, twice)) == 2
    assert len(merged(twice[:1], twice)) == 2


def test_of_a_flooded_console_the_end_is_read_too() -> None:
    data = b"[    1.000000] first\n" + b"[    2.000000] again and again\n" * 300_000
    texts = [record.text for record in parse_console(data + b"[    3.000000] Kernel panic - not syncing: x\n")]
    assert (texts[0], texts[-1]) == ("first", "Kernel panic - not syncing: x")


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
        assert 1 <= len(splat.lines) <= 120


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
