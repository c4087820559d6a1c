"""The parts of a splat. KASAN, KCSAN and lockdep are proved on text alone: no stock kernel has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.details import Frame, read_details

KASAN = """BUG: KASAN: slab-use-after-free in tap_read+0x44/0x60 [tap]
Write of size 8 at addr ffff888004b4c280 by task my cat/123

CPU: 1 UID: 0 PID: 123 Comm: my cat Tainted: G    B      OE      6.12.0 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 print_report+0x16e/0x4e6
 tap_read+0x44/0x60 [tap]
 ? not_sure+0x1/0x2
 vfs_read+0x1/0x2
 </TASK>

Allocated by task 1:
 tap_open+0x1/0x2 [tap]"""


def test_kasan_names_the_function_and_the_task_that_it_blames() -> None:
    details = read_details(KASAN.splitlines()[0], KASAN.splitlines())
    assert (details.comm, details.pid, details.cpu) == ("my cat", 123, 1)
    assert details.culprit == details.site == Frame("tap_read", 0x44, 0x60, "tap")
    assert [frame.function for frame in details.trace] == ["dump_stack_lvl", "print_report", "tap_read", "vfs_read"]
    assert details.tainted == "GBOE"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("WARNING: lib/foo.c:12 at foo_init+0x1a/0x30, CPU#1: insmod/512", ("insmod", 512, 1)),
        ("watchdog: BUG: soft lockup - CPU#3 stuck for 6s! [kworker/3:1:55]", ("kworker/3:1", 55, 3)),
        ("BUG: scheduling while atomic: a b/c/187/0x00000002", ("a b/c", 187, None)),
        ("INFO: task kworker/0:1:9 blocked for more than 2 seconds.", ("kworker/0:1", 9, None)),
        ("sh: page allocation failure: order:9", ("sh", None, None)),
        ("anything else", ("", None, None)),
    ],
)
def test_titles_tell_who(title: str, expected: tuple[str, int | None, int | None]) -> None:
    details = read_details(title, [title])
    assert (details.comm, details.pid, details.cpu) == expected


def test_a_build_id_behind_a_modules_name_is_not_its_name() -> None:
    lines = ["Call Trace:", " do_it+0x4/0x10 [tap 0123456789abcdef]"]
    assert read_details("x", lines).culprit == Frame("do_it", 4, 16, "tap")


def test_a_frame_reads_as_kernels_print_it() -> None:
    assert str(Frame("do_it", 4, 16, "tap", "tap.c:12")) == "do_it+0x4/0x10 [tap] (tap.c:12)"
    assert str(Frame("vfs_read", 1, 2)) == "vfs_read+0x1/0x2"


@given(st.lists(st.text(max_size=200), max_size=20))
def test_no_text_makes_it_raise(lines: list[str]) -> None:
    read_details(lines[0] if lines else "", lines)


@given(st.lists(st.sampled_from([*KASAN.splitlines(), "Call trace:", "RIP: 0010:f+0x1/0x2", "pc : g+0x1/0x2"])))
def test_nor_do_lines_of_kernels(lines: list[str]) -> None:
    assert len(read_details("x", lines).trace) <= 64
