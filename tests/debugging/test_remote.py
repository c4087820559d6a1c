"""The client of the gdb remote protocol, against a stub that may say anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.debugging.packets import Decoder, ProtocolError, encode, unhex
from lab.debugging.registers import ABIS, read_description
from lab.debugging.remote import Remote, StubError
from lab.debugging.stacks import Method, backtrace
from lab.debugging.symbols import Symbol, Symbols
from lab.errors import CommandTimeoutError
from tests.support.stubs import FakeStub


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[FakeStub]:
    made = FakeStub(tmp_path / "gdb.sock")
    yield made
    made.end()


@pytest.fixture
def remote(stub: FakeStub) -> Iterator[Remote]:
    with Remote(stub.path, deadline=2) as found:
        yield found


@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(1, 7))
def test_what_is_encoded_is_decoded_in_whatever_pieces_it_comes(payloads: list[bytes], size: int) -> None:
    stream = b"+".join(encode(payload) for payload in payloads)
    decoder = Decoder()
    found = [one for at in range(0, len(stream), size) for one in decoder.feed(stream[at : at + size])]
    assert found == payloads


@given(st.binary(max_size=300))
def test_bytes_that_are_no_packets_are_refused_or_waited_for_and_nothing_else(data: bytes) -> None:
    try:
        Decoder().feed(data)
    except ProtocolError:
        return
    assert data[:1] in (b"", b"+", b"$")


def test_run_lengths_are_expanded() -> None:
    assert Decoder().feed(b"$0* #7a") == [b"0000"]


@pytest.mark.parametrize("raw", [b"$OK#00", b"OK", b'$*"#4c', b"$a}#de"])
def test_a_wrong_checksum_stray_bytes_and_broken_escapes_are_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(raw)


def test_what_is_no_hex_is_refused() -> None:
    with pytest.raises(ProtocolError, match="where hex digits belong"):
        unhex(b"0x12")


def test_a_stop_that_was_not_asked_for_is_nobodys_answer(stub: FakeStub) -> None:
    stub.greeting = encode(b"T05thread:01;")
    with Remote(stub.path, deadline=2) as remote:
        stub.memory[0x10] = b"abcd"
        assert remote.read(0x10, 4) == b"abcd"
        stub.say(encode(b"T05thread:02;"))
        assert remote.read(0x10, 2) == b"ab"


def test_registers_are_found_by_their_names_and_numbers(remote: Remote, stub: FakeStub) -> None:
    assert remote.register("rip") == 0x1000
    assert remote.register("rsp") == 0x2000
    remote.select(1)
    assert b"Hg2" in stub.heard
    with pytest.raises(StubError, match="no register 'xmm99'"):
        remote.register("xmm99")


def test_memory_that_is_not_mapped_is_told_by_its_address(remote: Remote, stub: FakeStub) -> None:
    stub.memory[0x1000] = bytes(1024)
    with pytest.raises(StubError, match="no memory at 0x1400"):
        remote.read(0x1000, 1100)


def test_a_stub_that_is_silent_is_given_up(remote: Remote, stub: FakeStub) -> None:
    remote._deadline = 0.1
    stub.answers[b"m10,4"] = None
    with pytest.raises(CommandTimeoutError, match="did not answer"):
        remote.read(0x10, 4)


def test_a_stub_that_hangs_up_is_told(remote: Remote, stub: FakeStub) -> None:
    stub.end()
    with pytest.raises(StubError, match=r"hung up|broke"):
        remote.read(0x10, 4)


def test_more_memory_than_was_asked_for_is_refused(remote: Remote, stub: FakeStub) -> None:
    stub.answers[b"m10,2"] = b"00" * 40
    with pytest.raises(ProtocolError, match="40 bytes of memory for 2"):
        remote.read(0x10, 2)


def test_the_guest_is_waited_for_until_a_deadline_and_can_be_interrupted(remote: Remote, stub: FakeStub) -> None:
    remote.go()
    assert remote.wait(0.05) is None
    with pytest.raises(StubError, match="runs already"):
        remote.go()
    found = remote.interrupt()
    assert (found.signal, found.cpu) == (2, 1)
    assert stub.heard[-2:] == [b"vCont;c", b"interrupt"]


def test_a_machine_that_ends_while_it_is_waited_for_is_told(remote: Remote, stub: FakeStub) -> None:
    remote.go()
    stub.say(encode(b"W00"))
    with pytest.raises(StubError, match="has ended"):
        remote.wait(2)


def test_multiprocess_is_never_asked_for_because_a_plain_detach_would_leave_the_guest_standing(
    remote: Remote, stub: FakeStub
) -> None:
    remote.detach()
    assert stub.heard[-1] == b"D"
    assert not any(b"multiprocess" in question for question in stub.heard)


def test_a_socket_where_nobody_listens_is_no_stub(tmp_path: Path) -> None:
    with pytest.raises(StubError, match="does not answer"):
        Remote(tmp_path / "nothing.sock", deadline=1)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<target/>",
        b'<xi:include href="../../etc/passwd"/>',
        b'<reg name="a" bitsize="x"/>',
        b'<xi:include href="target.xml"/>',
    ],
)
def test_a_description_that_says_nothing_or_leads_elsewhere_is_refused(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_description(lambda _: text)


SYMBOLS = Symbols(
    [
        Symbol(0xFFFFFFFF81000000, "_stext", "", "T"),
        Symbol(0xFFFFFFFF81001000, "outer", "", "t"),
        Symbol(0xFFFFFFFF81002000, "inner", "", "t"),
        Symbol(0xFFFFFFFF81003000, "_etext", "", "T"),
    ]
)


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)


def test_a_stack_is_followed_by_frame_pointers_as_far_as_they_lead(remote: Remote, stub: FakeStub) -> None:
    sp = 0xFFFFC90000003F80
    stub.registers = {0: 0xFFFFFFFF81002010, 7: sp, 8: sp + 16}
    stub.memory[sp] = words(0xFFFFFFFF81002222, 0, sp + 32, 0xFFFFFFFF81001020, 0, 0x1234) + bytes(0x50)
    found = backtrace(remote, 0, ABIS["amd64"], SYMBOLS, Method.FRAME_POINTERS)
    assert found.frames == ("inner+0x10", "outer+0x20")


def test_a_scan_finds_what_is_no_frame_and_says_that_it_may(remote: Remote, stub: FakeStub) -> None:
    sp = 0xFFFFC90000003F80
    stub.registers = {0: 0xFFFFFFFF81002010, 7: sp, 8: 0}
    stub.memory[sp] = words(0xFFFFFFFF81002222, 0xFFFFFFFF81001000, 0xFFFFFFFF81001020, 1) + bytes(0x60)
    found = backtrace(remote, 0, ABIS["amd64"], SYMBOLS, Method.SCAN)
    assert found.frames == ("inner+0x10", "inner+0x222", "outer+0x20")
    assert "may be a leftover" in str(found)


def test_a_broken_stack_pointer_leaves_the_function_alone(remote: Remote, stub: FakeStub) -> None:
    stub.registers = {0: 0xFFFFFFFF81002010, 7: 0xFFFFFFFFFFFFFFF0, 8: 0}
    assert backtrace(remote, 0, ABIS["amd64"], SYMBOLS, Method.SCAN).frames == ("inner+0x10",)
    stub.registers[0] = 0x401000
    assert backtrace(remote, 0, ABIS["amd64"], SYMBOLS, Method.SCAN).user
