"""Injected failures, read from a kernel log."""

from __future__ import annotations

from lab.evidence.faults import read_injected
from lab.evidence.printk import parse_kmsg

LOG = """FAULT_INJECTION: forcing a failure.
name failslab, interval 1, probability 100, space 0, times 1
CPU: 1 UID: 0 PID: 123 Comm: my sh Tainted: G           OE      6.12.0 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 should_fail_ex+0x1/0x2
 should_failslab+0x1/0x2
 __kmalloc_cache_noprof+0x1/0x2
 do_allocate+0x24/0x40 [misbehaves]
 </TASK>
"""


def log(text: str, prefix: int = 5) -> bytes:
    return "".join(
        f"{prefix},{number},{5000000 + number},-;{line}\n" for number, line in enumerate(text.splitlines())
    ).encode()


def test_each_says_what_failed_in_whom_and_where() -> None:
    first, second = read_injected(parse_kmsg(log(LOG * 2)))
    assert first == second
    assert first.what == "failslab"
    assert (first.details.comm, first.details.pid) == ("my sh", 123)
    assert str(first) == "failslab in do_allocate+0x24/0x40 [misbehaves] by my sh (pid 123)"


def test_what_a_program_says_is_none() -> None:
    assert read_injected(parse_kmsg(log(LOG, prefix=13))) == []
    assert read_injected(parse_kmsg(b"")) == []
