"""What the script of drivers/bpftrace prints becomes events."""

from __future__ import annotations

import json

import pytest

from lab.drivers.event import Counters, Event
from lab.drivers.manifest import find_driver

WHO = ["1795514869744000000", "1", "248", "247", "183"]


def line(kind: str, result: int, *more: str, comm: str = "cat") -> bytes:
    data = "\x1f".join([kind, *WHO, str(result), comm, "sh", *more])
    return json.dumps({"type": "printf", "data": data}).encode()


def read(data: bytes) -> Event:
    event = find_driver("bpftrace:script").adapter().event(data)
    assert event is not None
    return event


def test_an_open_is_read_whole() -> None:
    event = read(line("openat", 3, "/etc/hostname", str(0o2000002)))
    assert (event.type, event.ts, event.cpu, event.tid, event.pid, event.ppid) == (
        "openat",
        1795514869744000000,
        1,
        248,
        247,
        183,
    )
    assert (event.comm, event.result, event["name"], event["parent"]) == (b"cat", 3, b"/etc/hostname", b"sh")
    assert event["flags"] == frozenset({"O_RDWR", "O_CLOEXEC"})


def test_an_exec_has_its_arguments() -> None:
    assert read(line("execve", 0, "/usr/bin/echo", r"\x65\x00\x6f\x6e\x65\x20\x00\x74\x00"))["args"] == (b"one ", b"t")


def test_a_connection_has_its_peer_and_one_of_another_family_has_none() -> None:
    event = read(line("connect", -111, "2", "127.0.0.1", "4711"))
    assert (event["address"], event["port"], event.result) == ("127.0.0.1", 4711, -111)
    assert "address" not in read(line("connect", 0, "1", "1.2.3.4", "0")).params


def test_the_end_of_a_process_has_a_status_and_no_result() -> None:
    event = read(line("procexit", 0, "1792"))
    assert (event.result, event["status"]) == (None, 7 << 8)


def test_what_bpftrace_lost_is_counted() -> None:
    adapter = find_driver("bpftrace:script").adapter()
    assert adapter.event(b'{"type": "attached_probes", "data": {"probes": 12}}') is None
    adapter.event(line("openat", 3, "/x", "0"))
    assert adapter.counters(b"") == Counters(1, 0)
    assert adapter.event(b'{"type": "lost_events", "data": {"events": 5}}') is None
    assert adapter.event(b'{"type": "lost_events", "count": 2}') is None
    assert adapter.counters(b"") == Counters(8, 7)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"type": "printf", "data": "openat"}', line("openat", 3, "/x")])
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, IndexError)):
        read(data)
