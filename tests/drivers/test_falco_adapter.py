"""Falco's adapter reads what sysdig prints, and refuses what it does not understand."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.drivers.event import Counters, Event
from tests.support import falco
from tests.support.falco import CONNECT, EXECVE, NO_FILE, OPENAT, SUMMARY, line

REFUSALS = (ValueError, KeyError, TypeError, OverflowError)


def read(data: bytes) -> Event:
    event = falco.adapter().event(data)
    assert event is not None
    return event


def test_an_open_has_its_path_flags_result_and_who_did_it() -> None:
    event = read(line(OPENAT))
    assert (event.type, event.cpu, event.tid, event.pid, event.ppid) == ("openat", 0, 190, 190, 178)
    assert (event.ts, event.comm, event.exe, event.result) == (
        1795365536217483627,
        b"dropbear",
        b"/usr/sbin/dropbear",
        6,
    )
    assert event.params == {
        "name": b"/proc/loadavg",
        "fd_name": b"/proc/loadavg",
        "dirfd": -100,
        "mode": 0,
        "flags": frozenset({"O_RDONLY", "O_CLOEXEC"}),
        "fd": 6,
        "parent": b"dropbear",
    }


def test_an_execve_has_its_arguments_to_the_byte() -> None:
    event = read(line(EXECVE))
    assert event["args"] == (b"/etc/hostname", b"a b", b"\xff")
    assert event["exe"] == b"/usr/bin/cat"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b"", ()), (None, ()), (b"\0", (b"",)), (b"a\0", (b"a",)), (b"a\0\0b\0", (b"a", b"", b"b")), (b"cut", (b"cut",))],
)
def test_empty_and_cut_arguments_are_kept_as_they_are(raw: bytes | None, expected: tuple[bytes, ...]) -> None:
    said = "NULL" if raw is None else base64.b64encode(raw).decode()
    assert read(line(EXECVE, evt__arg__args=said))["args"] == expected


def test_a_connect_has_its_address_and_port() -> None:
    event = read(line(CONNECT))
    assert (event["address"], event["port"], event.result) == ("127.0.0.1", 4711, -111)


def test_a_call_without_a_result_has_none() -> None:
    assert read(line(OPENAT, evt__rawres=None)).result is None


def test_an_exit_has_its_status_and_a_negative_one_too() -> None:
    fields = {**OPENAT, "evt.type": "procexit", "evt.arg.status": 256, "evt.arg.ret": "-1"}
    assert (read(line(fields))["status"], read(line(fields))["ret"]) == (256, -1)


def test_an_enter_is_no_event_and_what_only_it_says_is_the_exits() -> None:
    """As sysdig of 2022 prints them."""
    adapter = falco.adapter()
    entered = {**EXECVE, "evt.dir": ">", "evt.rawres": None, "evt.arg.filename": "/usr/bin/cat", "evt.arg.exe": "old"}
    assert adapter.event(line(entered)) is None
    assert adapter.event(line(OPENAT, thread__tid=191)) is not None, "another thread's"
    assert adapter.event(line(OPENAT, evt__dir=">", evt__type="switch")) is None, "in the middle of the call"
    event = adapter.event(line(EXECVE))
    assert event is not None
    assert (event["filename"], event["exe"]) == (b"/usr/bin/cat", b"/usr/bin/cat")
    again = adapter.event(line(EXECVE))
    assert again is not None
    assert "filename" not in again.params, "each enter is of one exit"


def test_an_enter_without_an_exit_says_nothing_of_another_call() -> None:
    adapter = falco.adapter()
    assert adapter.event(line(EXECVE, evt__dir=">", evt__arg__filename="/usr/bin/cat")) is None
    event = adapter.event(line(OPENAT))
    assert event is not None
    assert "filename" not in event.params


def test_the_end_of_a_process_is_an_event_though_sysdig_calls_it_an_enter() -> None:
    fields = {**OPENAT, **NO_FILE, "evt.type": "procexit", "evt.dir": ">", "evt.rawres": None, "evt.arg.status": 0}
    assert read(line(fields))["status"] == 0


def test_enters_whose_threads_ended_do_not_pile_up() -> None:
    adapter = falco.adapter()
    for tid in range(10_000):
        assert adapter.event(line(EXECVE, evt__dir=">", thread__tid=tid)) is None
    assert len(adapter._entered) < 5_000  # type: ignore[attr-defined]


def test_a_line_that_says_nothing_of_a_call_is_no_event() -> None:
    assert falco.adapter().event(line(OPENAT, evt__type="drop", thread__tid=None)) is None


def test_a_path_that_is_no_utf8_comes_through_to_the_byte() -> None:
    """A guest opens what it likes; sysdig prints the bytes as they are."""
    data = line(OPENAT, evt__arg__name="/work/@@").replace(b"@@", b"\xff\xfe")
    assert read(data)["name"] == b"/work/\xff\xfe"


def test_a_path_of_other_alphabets_comes_through() -> None:
    assert read(line(OPENAT, evt__arg__name="/wörk/文"))["name"] == "/wörk/文".encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b'{"thread.tid": 1}',
        line(OPENAT, evt__rawtime=None),
        line(OPENAT, evt__rawtime=float("inf")),
        line(OPENAT, evt__cpu="two"),
        line(EXECVE, evt__arg__args="not base64"),
        line(CONNECT, fd__sport=None),
        line(OPENAT, evt__arg__name="\ud800"),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_misread(data: bytes) -> None:
    with pytest.raises(REFUSALS):
        falco.adapter().event(data)


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), lambda child: st.lists(child, max_size=2)))
def test_any_value_in_any_field_is_read_or_refused(value: Any) -> None:
    adapter = falco.adapter()
    for name in OPENAT:
        try:
            adapter.event(line(EXECVE, **{name.replace(".", "__"): value}))
        except REFUSALS:
            continue


def test_counters_are_read_from_what_sysdig_says_at_its_end() -> None:
    assert falco.adapter().counters(SUMMARY) == Counters(9314, 0)
    assert falco.adapter().counters(SUMMARY.replace(b"Drops:0", b"Drops:17")) == Counters(9314, 17)


@pytest.mark.parametrize("said", [b"", b"Driver Events:1\n", b"Driver Drops:0\n", b"Driver Events:x\nDriver Drops:0\n"])
def test_counters_that_were_not_said_are_not_known(said: bytes) -> None:
    assert falco.adapter().counters(said) is None


def test_a_number_that_no_kernel_counts_to_is_not_known() -> None:
    assert falco.adapter().counters(b"Driver Events:%s\nDriver Drops:0\n" % (b"9" * 5000)) is None


def test_what_scenarios_call_otherwise_has_the_scenarios_names() -> None:
    fields = {"evt.arg.filename": "/f", "evt.arg.dev": "/dev/x", "evt.arg.dir": "/mnt", "evt.arg.path": "/p"}
    changed = read(line({**OPENAT, **fields, "evt.type": "fchmodat", "evt.arg.name": None}))
    assert changed["name"] == b"/f"
    mounted = read(line({**OPENAT, **fields, "evt.type": "mount"}))
    assert (mounted["source"], mounted["target"]) == (b"/dev/x", b"/mnt")
    assert read(line({**OPENAT, **fields, "evt.type": "unlink", "evt.arg.name": None}))["name"] == b"/p"
    assert read(line({**OPENAT, **fields}))["filename"] == b"/f"


def test_what_libsinsp_takes_an_opened_file_for_is_beside_the_name_that_the_driver_read() -> None:
    event = read(line(OPENAT, fd__name="/concluded"))
    assert (event["name"], event["fd_name"]) == (b"/proc/loadavg", b"/concluded")
    assert "fd_name" not in read(line(CONNECT, fd__name="127.0.0.1:1->127.0.0.1:2")).params


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("linkat", {"evt.rawarg.olddir": 7, "evt.rawarg.newdir": -100}, {"olddirfd": 7, "newdirfd": -100}),
        ("kill", {"evt.rawarg.pid": 12, "evt.arg.sig": "SIGKILL"}, {"target": 12, "sig": 9}),
        ("mount", {"evt.arg.flags": "NOSUID|NODEV", "evt.arg.type": "tmpfs"},
         {"flags": frozenset({"MS_NOSUID", "MS_NODEV"}), "fstype": b"tmpfs"}),
        ("socket", {"evt.arg.type": "1", "evt.rawarg.domain": 2, "evt.rawarg.proto": 6},
         {"socktype": 1, "domain": 2, "protocol": 6}),
        ("kill", {"evt.arg.sig": "99"}, {"sig": 99}),
        ("openat", {"evt.arg.mode": "0640"}, {"mode": 0o640}),
        ("openat", {"evt.rawarg.dirfd": None, "evt.arg.dirfd": "AT_FDCWD"}, {"dirfd": -100}),
        ("openat", {"evt.rawarg.dirfd": 3, "evt.arg.dirfd": "AT_FDCWD"}, {"dirfd": 3}),
        ("mkdir", {"evt.arg.mode": "1A0"}, {"mode": 0o640}),
        ("fchmod", {"evt.arg.mode": "S_IRGRP|S_IWUSR|S_IRUSR"}, {"mode": 0o640}),
        ("another", {"evt.arg.mode": "9"}, {}),
        ("ptrace", {"evt.arg.request": "PTRACE_ATTACH", "evt.rawarg.pid": 5}, {"request": 16, "target": 5}),
        ("openat2", {"evt.arg.resolve": "RESOLVE_BENEATH|RESOLVE_CACHED"},
         {"resolve": frozenset({"RESOLVE_BENEATH", "RESOLVE_CACHED"})}),
        ("sendto", {"evt.arg.data": base64.b64encode(b"\0x").decode()}, {"data": b"\0x"}),
        ("sendto", {"evt.arg.data": "NULL"}, {"data": None}),
        ("bind", {"evt.arg.addr": "::1:53"}, {"address": "::1", "port": 53}),
        ("bind", {"evt.arg.addr": "/run/socket"}, {"path": b"/run/socket"}),
        ("setuid", {"evt.rawarg.uid": 0, "user.uid": 1000}, {"uid": 0, "caller_uid": 1000}),
        ("unlink", {"evt.arg.path": "<NA>"}, {"name": None}),
        ("chroot", {"evt.arg.path": "/r"}, {"name": b"/r"}),
        ("execve", {"evt.arg.env": base64.b64encode(b"A=1\0B=\0").decode()}, {"env": (b"A=1", b"B=")}),
    ],
)  # fmt: skip
def test_parameters_have_the_names_and_numbers_that_scenarios_use(
    kind: str, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    plain = {**OPENAT, **falco.NO_FILE, "evt.arg.flags": None, "evt.type": kind}
    event = read(line({**plain, **fields}))
    assert {name: event.params.get(name) for name in expected} == expected


def test_what_accepted_a_connection_tells_the_clients_address() -> None:
    fields = {"fd.sip": "127.0.0.1", "fd.sport": 80, "fd.cip": "127.0.0.2", "fd.cport": 4711}
    event = read(line({**CONNECT, **fields, "evt.type": "accept4"}))
    assert (event["address"], event["port"]) == ("127.0.0.2", 4711)


def test_the_process_of_an_event_is_not_its_target() -> None:
    assert "target" not in read(line({**EXECVE, "evt.rawarg.pid": 190})).params


def test_a_program_that_begins_is_told_with_its_cgroup_user_and_number_in_its_namespace() -> None:
    cgroups = base64.b64encode(b"cpuset=/\0cpu=/lab/web\0io=/\0memory=/lab/web\0").decode()
    more = {"evt__arg__cgroups": cgroups, "evt__rawarg__uid": 1, "proc__vpid": 7, "proc__is_exe_from_memfd": True}
    event = read(line(EXECVE, **more))
    told = {name: event[name] for name in ("cgroup", "euid", "vpid", "from_memfd")}
    assert told == {"cgroup": b"/lab/web", "euid": 1, "vpid": 7, "from_memfd": 1}


def test_whom_a_call_is_done_to_is_told_by_its_number() -> None:
    more = {"evt__type": "ptrace", "evt__rawarg__pid": 12, "evt__arg__request": "PTRACE_ATTACH"}
    event = read(line(OPENAT, **more))
    assert (event["target"], event["request"]) == (12, 16)
