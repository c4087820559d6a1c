"""tap's adapter reads what its reader prints, and refuses what it does not understand."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.drivers.event import Counters, Event
from tests.support import tap
from tests.support.tap import CONNECT, EXECVE, OPENAT, PROCEXEC, PROCEXIT, line

REFUSALS = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


def read(data: bytes) -> Event:
    event = tap.adapter().event(data)
    assert event is not None
    return event


def test_an_open_has_its_path_three_times_its_flags_and_who_did_it() -> None:
    event = read(line(OPENAT))
    assert (event.type, event.cpu, event.tid, event.pid, event.ppid) == ("openat", 1, 237, 237, 236)
    assert (event.ts, event.comm, event.result) == (1795511476393655583, b"echo", -2)
    assert [event[name] for name in ("name", "name_exit", "kernel_name")] == [b"/etc/ld.so.cache"] * 3
    assert event["flags"] == frozenset({"O_RDONLY", "O_CLOEXEC"})
    assert event["dirfd"] == -100


def test_a_name_that_was_not_in_memory_at_entry_is_the_kernels_and_says_so() -> None:
    params = {**OPENAT["params"], "name": None}  # type: ignore[dict-item]
    kernel = {"name": "/what/the/kernel/opened"}
    event = read(line(OPENAT, params=params, kernel=kernel, exit={"name": "/later"}, not_resident=["name"]))
    assert event["name"] == b"/what/the/kernel/opened"
    assert event["not_resident"] == frozenset({"name"})


def test_without_a_kernel_copy_it_is_the_one_at_exit() -> None:
    params = {**OPENAT["params"], "name": None}  # type: ignore[dict-item]
    assert read(line(OPENAT, params=params, kernel={}))["name"] == b"/etc/ld.so.cache"


def test_what_the_kernel_acted_on_is_the_name_and_what_was_read_at_entry_is_beside_it() -> None:
    event = read(line(OPENAT, kernel={"name": "/opened"}, exit={"name": "/later"}))
    assert [event[name] for name in ("name", "name_entry", "name_exit")] == [b"/opened", b"/etc/ld.so.cache", b"/later"]
    assert "name_entry" not in read(line(OPENAT, kernel={})).params


def test_a_name_that_is_no_utf8_is_kept_to_the_byte() -> None:
    name = {"b64": base64.b64encode(b"/work/\xff").decode()}
    params = {**OPENAT["params"], "name": name}  # type: ignore[dict-item]
    event = read(line(OPENAT, params=params))
    assert (event["name_entry"], event["name"]) == (b"/work/\xff", b"/etc/ld.so.cache")
    assert read(line(OPENAT, params=params, kernel={}))["name"] == b"/work/\xff"
    assert read(line(OPENAT, kernel={"name": name}))["name"] == b"/work/\xff"


@pytest.mark.parametrize(
    ("abi", "value", "flags"),
    [
        ("x86_64", 0o2200101, {"O_WRONLY", "O_CREAT", "O_DIRECTORY", "O_CLOEXEC"}),
        ("arm64", 0o2040101, {"O_WRONLY", "O_CREAT", "O_DIRECTORY", "O_CLOEXEC"}),
        ("arm", 0o40000, {"O_RDONLY", "O_DIRECTORY"}),
        ("riscv64", 0o40000, {"O_RDONLY", "O_DIRECT"}),
        ("x86_64", 1 << 30, {"O_RDONLY", "0x40000000"}),
    ],
)
def test_flags_have_the_numbers_of_their_abi(abi: str, value: int, flags: set[str]) -> None:
    params = {**OPENAT["params"], "flags": value}  # type: ignore[dict-item]
    assert read(line(OPENAT, abi=abi, params=params))["flags"] == frozenset(flags)


def test_an_execve_has_its_arguments_without_the_first_and_its_parent() -> None:
    event = read(line(EXECVE))
    assert (event["filename"], event["args"], event["parent"]) == (b"/bin/echo", (b"one", b"two"), b"sh")
    assert event["ns_mnt"] == 4026531841


def test_an_execve_that_failed_has_the_arguments_that_it_was_given() -> None:
    failed = {name: value for name, value in EXECVE.items() if name != "args"}
    assert read(line(failed, result=-2))["args"] == (b"one", b"two")


def test_a_connect_has_the_address_at_entry_at_exit_and_the_kernels() -> None:
    event = read(line(CONNECT))
    assert (event["address"], event["port"]) == ("127.0.0.1", 4711)
    assert (event["address_exit"], event["port_exit"]) == ("127.0.0.2", 80)
    assert (event["kernel_address"], event["kernel_port"]) == ("127.0.0.1", 4711)


def test_the_end_of_a_process_has_its_status_as_wait_has_it() -> None:
    event = read(line(PROCEXIT))
    assert (event.type, event["status"], event.result) == ("procexit", 7 << 8, None)


def test_a_processs_program_is_known_from_its_exec_on() -> None:
    adapter = tap.adapter()
    before, _, after = (adapter.event(line(fields)) for fields in (OPENAT, PROCEXEC, OPENAT))
    assert before is not None
    assert after is not None
    assert (before.exe, after.exe) == (b"", b"/bin/echo")


def test_counters_are_the_last_line_of_them_with_what_was_missed() -> None:
    first = {"offered": 1, "delivered": 1, "dropped": 0, "waiting": 0, "missed": 0, "malformed": 0}
    last = {**first, "offered": 100, "delivered": 90, "dropped": 10, "missed": 3}
    said = b"\n".join((json.dumps(first).encode(), json.dumps(last).encode(), b"lab: ended with status 0"))
    assert tap.adapter().counters(said) == Counters(103, 13)
    assert tap.adapter().counters(b"tap-reader: /dev/tap: Device or resource busy") is None


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"null", b'{"type": "openat"}', b"\xff", b'{"type": 1, "pid": {}}']
)
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(REFUSALS):
        tap.adapter().event(data)


ONE = tap.adapter()  # loading one for every line takes longer than hypothesis waits on a busy machine


@given(st.binary(max_size=200))
def test_no_line_makes_it_fail_otherwise(data: bytes) -> None:
    try:
        ONE.event(data)
    except REFUSALS:
        return


def test_the_structure_of_openat2_is_taken_apart() -> None:
    how = base64.b64encode((0o2000101).to_bytes(8, "little") + (0o640).to_bytes(8, "little") + bytes([12]) + bytes(7))
    params = {"dirfd": -100, "name": "/a", "how": {"b64": how.decode()}, "size": 24}
    event = read(line(OPENAT, type="openat2", params=params))
    assert event["flags"] == frozenset({"O_WRONLY", "O_CREAT", "O_CLOEXEC"})
    assert (event["mode"], event["resolve"]) == (0o640, frozenset({"RESOLVE_NO_SYMLINKS", "RESOLVE_BENEATH"}))


@pytest.mark.parametrize("how", ["", "short", None])
def test_a_structure_that_could_not_be_read_tells_no_flags(how: str | None) -> None:
    params = {"dirfd": -100, "name": "/a", "how": how, "size": 24}
    assert "flags" not in read(line(OPENAT, type="openat2", params=params, exit={}, kernel={})).params


def test_the_structure_of_clone3_tells_its_flags() -> None:
    data = base64.b64encode((0x600).to_bytes(8, "little") + bytes(56)).decode()
    event = read(line(OPENAT, type="clone3", params={"cl_args": {"b64": data}, "size": 64}, exit={}, kernel={}))
    assert event["flags"] == frozenset({"CLONE_FS", "CLONE_FILES"})


def test_where_the_kernel_took_no_name_it_is_what_was_read_at_entry() -> None:
    event = read(line(OPENAT, kernel={"name": None}))
    assert (event["name"], "name_entry" in event.params) == (b"/etc/ld.so.cache", False)


def test_an_address_that_the_kernel_writes_is_the_one_at_the_exit() -> None:
    peer = {"family": 2, "address": "127.0.0.1", "port": 4711}
    event = read(line(OPENAT, type="accept4", params={"fd": 3, "addr": None}, exit={"addr": peer}, kernel={}))
    assert (event["address"], event["port"]) == ("127.0.0.1", 4711)


def test_who_called_is_told_by_the_user_it_is() -> None:
    assert read(line(OPENAT, uid=1000))["caller_uid"] == 1000
