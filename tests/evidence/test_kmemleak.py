"""kmemleak's report, and its objects in a kernel log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.kmemleak import Places, read_leaks
from lab.evidence.printk import parse_kmsg
from lab.evidence.splats import find_splats

OBJECT = """unreferenced object 0xffff888004b4c280 (size 60):
  comm "my sh", pid 123, jiffies 4294900000
  hex dump (first 32 bytes):
    6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b  kkkkkkkkkkkkkkkk
  backtrace (crc 0):
    __kmalloc_cache_noprof+0x1e0/0x2b0
    do_lose+0x24/0x40 [misbehaves]
    0xffffffffc0201030
    vfs_write+0x1/0x2
"""
KALLSYMS = """ffffffffc0201000 t stop_it	[tap]
ffffffffc0201040 T next	[tap]
ffffffffc0202000 d not_code	[tap]
"""


def test_an_object_has_its_size_its_task_and_the_drivers_function() -> None:
    (leak,) = read_leaks(OBJECT)
    assert (leak.address, leak.size) == (0xFFFF888004B4C280, 60)
    assert (leak.details.comm, leak.details.pid) == ("my sh", 123)
    assert str(leak.details.culprit) == "do_lose+0x24/0x40 [misbehaves]"
    assert [frame.function for frame in leak.details.trace] == ["__kmalloc_cache_noprof", "do_lose", "vfs_write"]
    assert str(leak).startswith("60 bytes at 0xffff888004b4c280, allocated in do_lose")


def test_a_function_that_the_kernel_has_forgotten_is_named_as_it_was() -> None:
    (leak,) = read_leaks(OBJECT, Places(KALLSYMS))
    assert str(leak.details.trace[2]) == "stop_it+0x30/0x40 [tap]"
    report = OBJECT.replace("do_lose+0x24/0x40 [misbehaves]", "0xffffffffb0000000").replace("c0201030", "f0201030")
    (leak,) = read_leaks(report, Places(KALLSYMS))
    assert [frame.module for frame in leak.details.trace] == ["", ""], "an address that is no module's was named"


def test_older_kernels_put_an_address_before_each_place() -> None:
    (leak,) = read_leaks(OBJECT.replace("    do_lose", "    [<00000000deadbeef>] do_lose").replace(" (crc 0)", ""))
    assert leak.details.culprit is not None
    assert leak.details.culprit.function == "do_lose"


def test_several_objects_are_several_leaks_and_rubbish_is_none() -> None:
    assert len(read_leaks("rubbish\n" + OBJECT * 3)) == 3
    assert read_leaks("unreferenced object of mine\n  comm\n") == []
    assert read_leaks("") == []


@given(st.text(max_size=400))
def test_nothing_that_a_guest_says_raises(text: str) -> None:
    read_leaks(text, Places(text))
    read_leaks(f"unreferenced object 0x1 (size 2):\n{text}", Places(text))


def test_objects_in_the_log_are_one_incident_with_the_first_ones_culprit() -> None:
    lines = [f"kmemleak: {line}" for line in (OBJECT * 2).splitlines()]
    lines.append("kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)")
    data = "".join(f"4,{number},5000000,-;{line}\n" for number, line in enumerate(lines))
    (splat,) = find_splats(parse_kmsg(data.encode()))
    assert splat.kind == "leaked objects"
    assert splat.details.culprit is not None
    assert splat.details.culprit.function == "do_lose"
    assert (splat.details.comm, splat.details.pid) == ("my sh", 123)
    assert len(splat.details.trace) == 3, "the next object's trace was taken for its"
