"""auditd's log becomes events. The records are as auditd 4.1.2 wrote them on 6.12, shortened where nothing is read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.drivers.event import Counters, Event
from lab.drivers.manifest import Adapter, find_driver

_WHO = "auid=4294967295 uid=0 gid=0 tty=(none) ses=4294967295"
_ENRICHED = 'AUID="unset" UID="root"'


def record(kind: str, text: str, serial: int = 1) -> bytes:
    return f"type={kind} msg=audit(1795514869.744:{serial}): {text}".encode()


def call(name: str, comm: str = "cat", *, exit_: str = "success=yes exit=3", serial: int = 1, pid: int = 247) -> bytes:
    words = f"arch=c000003e syscall=1 {exit_} a0=ffffff9c a1=7ffc a2=80000 a3=0 items=1 ppid=183 pid={pid} {_WHO}"
    named = f'comm="{comm}" exe="/usr/bin/{comm}" subj=unconfined key=(null)\x1dARCH=x86_64 SYSCALL={name} {_ENRICHED}'
    return record("SYSCALL", f"{words} {named}", serial)


def path(name: str, what: str = "NORMAL", serial: int = 1) -> bytes:
    return record("PATH", f'item=0 name={name} inode=1117 dev=00:19 nametype={what} cap_fp=0\x1dOUID="root"', serial)


END = record("PROCTITLE", "proctitle=617564697463746C002D73")
CWD = record("CWD", 'cwd="/root"')


def adapter() -> Adapter:
    return find_driver("auditd:audit").adapter()


def read(*lines: bytes) -> Event:
    reader = adapter()
    *before, last = [reader.event(line) for line in (*lines, END)]
    assert set(before) <= {None}, "only the last record gives the event"
    assert last is not None
    return last


def test_an_open_is_read_whole() -> None:
    event = read(call("openat"), CWD, path('"/etc/hostname"'))
    assert (event.type, event.ts, event.cpu, event.pid, event.ppid) == ("openat", 1795514869744000000, -1, 247, 183)
    assert (event.comm, event.exe, event.result) == (b"cat", b"/usr/bin/cat", 3)
    assert (event["name"], event["flags"]) == (b"/etc/hostname", frozenset({"O_RDONLY", "O_CLOEXEC"}))


def test_a_call_that_failed_has_its_error() -> None:
    event = read(call("openat", exit_="success=no exit=-2"), CWD, path('"/no"', "UNKNOWN"))
    assert (event.result, event["name"]) == (-2, b"/no")


def test_a_name_with_a_space_is_in_hexadecimal() -> None:
    assert read(call("openat"), path("2F746D702F612062"))["name"] == b"/tmp/a b"
    assert read(call("openat"), path("(null)"))["name"] is None


def test_of_a_new_file_the_file_is_named_and_not_its_folder() -> None:
    assert read(call("openat"), path('"/work/"', "PARENT"), path('"/work/x"', "CREATE"))["name"] == b"/work/x"


def test_a_rename_has_both_paths() -> None:
    parents = path('"/work/"', "PARENT"), path('"/work/"', "PARENT")
    event = read(call("renameat2"), *parents, path('"/work/before"', "DELETE"), path('"/work/after"', "CREATE"))
    assert (event["oldpath"], event["newpath"]) == (b"/work/before", b"/work/after")


def test_an_exec_has_its_arguments_and_a_parent_that_was_seen() -> None:
    reader = adapter()
    for line in (call("openat", "sh", pid=183), END):
        reader.event(line)
    arguments = record("EXECVE", 'argc=4 a0="/usr/bin/echo" a1=6F6E652074776F a2[0]="th" a2[1]="ree" a3=""')
    for line in (call("execve", "echo", exit_="success=yes exit=0"), arguments, path('"/usr/bin/echo"')):
        assert reader.event(line) is None
    event = reader.event(END)
    assert event is not None
    assert event["args"] == (b"one two", b"three", b"")
    assert (event["filename"], event["parent"]) == (b"/usr/bin/echo", b"sh")


@pytest.mark.parametrize(
    ("saddr", "address", "port"),
    [
        ("020012677F0000010000000000000000", "127.0.0.1", 4711),
        ("0A00126700000000000000000000000000000000000000010000000000", "::1", 4711),
    ],
)
def test_a_connection_has_its_peer(saddr: str, address: str, port: int) -> None:
    event = read(call("connect"), record("SOCKADDR", f"saddr={saddr}\x1dSADDR={{ saddr_fam=inet }}"))
    assert (event["address"], event["port"]) == (address, port)


def test_records_of_two_cpus_between_each_other_are_told_apart() -> None:
    reader = adapter()
    lines: Sequence[bytes] = (
        call("openat", "one", serial=1),
        call("openat", "two", serial=2),
        path('"/two"', serial=2),
        path('"/one"', serial=1),
        record("PROCTITLE", "proctitle=00", 2),
        record("PROCTITLE", "proctitle=00", 1),
    )
    found = [event for event in map(reader.event, lines) if event]
    assert [(event.comm, event["name"]) for event in found] == [(b"two", b"/two"), (b"one", b"/one")]


def test_what_is_no_call_is_no_event_and_does_not_pile_up() -> None:
    reader = adapter()
    for serial in range(5000):
        assert reader.event(record("CONFIG_CHANGE", "op=set audit_enabled=1", serial)) is None
    assert len(vars(reader)["_open"]) < 2000


@pytest.mark.parametrize("line", [b"garbage", b"", b"type=SYSCALL msg=audit(x): "])
def test_what_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="no audit record"):
        adapter().event(line)


def test_counters_are_what_auditctl_said_last() -> None:
    reader = adapter()
    for line in (call("openat"), END):
        reader.event(line)
    assert reader.counters(b"lost 0\nbacklog 15\nlost 7\n") == Counters(1, 7)
    assert reader.counters(b"") is None


def test_numbers_in_registers_are_told() -> None:
    opened = read(call("openat"), path('"/etc/hostname"'))
    assert (opened["dirfd"], opened["caller_uid"]) == (-100, 0)
    assert read(call("unlinkat"), path('"/x"'))["flags"] == frozenset()
    assert read(call("creat"), path('"/x"'))["mode"] == 0x7FFC
    assert read(call("clone"))["flags"] == frozenset({"CLONE_FS", "CLONE_FILES", "CLONE_THREAD"})


@pytest.mark.parametrize(
    ("saddr", "expected"), [("01002F72756E2F7300", b"/run/s"), ("0100006162", b"\0ab"), ("0100", b"")]
)
def test_a_local_address_has_its_path(saddr: str, expected: bytes) -> None:
    assert read(call("connect"), record("SOCKADDR", f"saddr={saddr}"))["path"] == expected


def test_what_openat2_was_asked_for_is_in_its_own_record() -> None:
    event = read(call("openat2"), record("OPENAT2", "oflag=02000001 mode=0 resolve=0x14"), path('"/etc/hostname"'))
    assert event["flags"] == frozenset({"O_WRONLY", "O_CLOEXEC"})
    assert event["resolve"] == frozenset({"RESOLVE_NO_SYMLINKS", "RESOLVE_IN_ROOT"})
    # Before 5.16 there is none.
    assert "resolve" not in read(call("openat2"), path('"/etc/hostname"')).params
