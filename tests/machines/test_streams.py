"""What a guest sends is read at once and kept within bounds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import ConsumerError
from lab.machines.streams import Console, Lines, Writer
from tests.support import wait


@contextmanager
def guest(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        yield listener


@pytest.fixture
def port(tmp_path: Path) -> Iterator[tuple[Lines, socket.socket]]:
    """Lines as the host reads them, and the guest's end."""
    with guest(tmp_path / "s") as listener:
        lines = Lines(tmp_path / "s", "test")
        side, _ = listener.accept()
        with side:
            yield lines, side
        lines.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[tuple[Console, socket.socket]]:
    with guest(tmp_path / "s") as listener:
        made = Console(tmp_path / "s", tmp_path)
        side, _ = listener.accept()
        with side:
            yield made, side
        made.close()


def test_whole_lines_are_counted_and_a_half_one_waits(port: tuple[Lines, socket.socket]) -> None:
    lines, side = port
    side.sendall(b"one\ntw")
    assert lines.wait(lambda: lines.count() == 1, 10)
    side.sendall(b"o\n\nthree")
    assert lines.wait(lambda: lines.count() == 3, 10)
    assert lines.since(0) == [b"one", b"two", b""]
    assert lines.since(2) == [b""]


def test_what_is_left_of_a_line_that_began_elsewhere_is_dropped(tmp_path: Path) -> None:
    with guest(tmp_path / "s") as listener:
        lines = Lines(tmp_path / "s", "test", cut=True)
        side, _ = listener.accept()
        with side:
            side.sendall(b"alf of a line")
            side.sendall(b"\nwhole\n")
            assert lines.wait(lambda: lines.count() == 1, 10)
        assert lines.finish(10)
        assert lines.since(0) == [b"whole"]
        lines.close()


@pytest.mark.parametrize(("sent", "within"), [(b"", False), (b"one\n", False), (b"one\ntw", True)])
def test_a_stream_that_ended_tells_whether_it_did_within_a_line(
    port: tuple[Lines, socket.socket], sent: bytes, within: bool
) -> None:
    lines, side = port
    side.sendall(sent)
    assert not lines.finish(0.01)
    side.close()
    assert lines.finish(10)
    assert lines.within_line() is within


def test_reading_takes_nothing_away(port: tuple[Lines, socket.socket]) -> None:
    lines, side = port
    side.sendall(b"one\n")
    assert lines.wait(lambda: lines.count() == 1, 10)
    assert lines.since(0) == lines.since(0) == [b"one"]
    assert lines.since(1) == []


def test_waiting_ends_at_its_deadline(port: tuple[Lines, socket.socket]) -> None:
    lines, _ = port
    assert lines.wait(lambda: False, 0.01) is False


def test_an_announcement_lets_waiters_look_again(port: tuple[Lines, socket.socket]) -> None:
    lines, _ = port
    dead = threading.Event()
    looked = threading.Event()

    def ready() -> bool:
        looked.set()
        return dead.is_set()

    def die() -> None:
        looked.wait(10)
        dead.set()
        lines.announce()

    thread = threading.Thread(target=die)
    thread.start()
    assert lines.wait(ready, 10)
    thread.join(10)


def test_a_line_that_never_ends_is_a_fault(port: tuple[Lines, socket.socket]) -> None:
    lines, side = port
    side.sendall(b"x" * (Lines.MAX_LINE + 1))
    assert lines.wait(lambda: False, 10) is False
    with pytest.raises(ConsumerError, match="a line of more than 1 MiB"):
        lines.since(0)


def test_a_line_of_the_greatest_length_is_none(port: tuple[Lines, socket.socket]) -> None:
    lines, side = port
    side.sendall(b"x" * Lines.MAX_LINE + b"\n")
    assert lines.wait(lambda: lines.count() == 1, 10)
    assert len(lines.since(0)[0]) == Lines.MAX_LINE


def test_what_comes_after_a_fault_is_read_but_not_kept(port: tuple[Lines, socket.socket]) -> None:
    """A guest must never be able to wait for the host."""
    lines, side = port
    side.settimeout(10)
    side.sendall(b"x" * (4 * Lines.MAX_LINE) + b"\n")
    with pytest.raises(ConsumerError, match="a line of more than 1 MiB"):
        lines.since(0)
    assert lines.count() == 0


def test_of_a_guest_that_goes_on_and_on_the_last_lines_are_kept(
    port: tuple[Lines, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest must never be able to fill the host's memory; what it printed before a capture is none of the capture's
    business."""
    monkeypatch.setattr(Lines, "MAX_KEPT", 1 << 20)
    lines, side = port
    side.settimeout(10)
    for number in range(4 << 10):
        side.sendall(b"%1023d\n" % number)
    assert lines.wait(lambda: lines.count() == 4 << 10, 10)
    assert [int(line) for line in lines.since(3500)] == list(range(3500, 4 << 10))
    for index in (0, 3000):
        with pytest.raises(ConsumerError, match="more than 1 MiB before it was read"):
            lines.since(index)


def test_short_lines_count_for_what_they_cost(
    port: tuple[Lines, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of no bytes is still an object of the host's."""
    monkeypatch.setattr(Lines, "MAX_KEPT", 1 << 20)
    lines, side = port
    side.settimeout(10)
    side.sendall(b"\n" * (1 << 17))
    assert lines.wait(lambda: lines.count() == 1 << 17, 10)
    with pytest.raises(ConsumerError):
        lines.since((1 << 17) - (1 << 16))
    assert lines.since((1 << 17) - (1 << 13)) == [b""] * (1 << 13)


def test_a_guest_that_is_gone_is_no_error(port: tuple[Lines, socket.socket]) -> None:
    lines, side = port
    side.sendall(b"last\n")
    side.close()
    assert lines.wait(lambda: lines.count() == 1, 10)


def test_closing_twice_does_no_harm(port: tuple[Lines, socket.socket]) -> None:
    lines, _ = port
    lines.close()
    lines.close()


def test_a_socket_that_is_not_there_is_an_error_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(FileNotFoundError):
        Lines(tmp_path / "absent", "test")
    assert threading.active_count() == before


def test_the_console_is_kept_to_the_byte(console: tuple[Console, socket.socket]) -> None:
    made, side = console
    data = bytes(range(256)) + b"\r\nend"
    side.sendall(data)
    wait.until(lambda: len(made.read()) == len(data), "the console's last byte")
    assert made.read() == made.raw_file.read_bytes() == data


def test_every_line_of_the_console_has_the_hosts_time_once(console: tuple[Console, socket.socket]) -> None:
    made, side = console
    sent = 0
    for part in (b"on", b"e\r", b"\ntwo\r\n", b"three"):
        side.sendall(part)
        sent += len(part)
        wait.until(lambda: len(made.read()) == sent, "the console's part")  # noqa: B023 - asked at once
    log = made.file.read_text()
    lines = log.splitlines()
    assert [line[13:] for line in lines] == ["one", "two", "three"]
    assert all(line[2] == line[5] == ":" and line[8] == "." and line[12] == " " for line in lines)


def test_a_console_is_kept_up_to_its_limit_and_read_on(
    console: tuple[Console, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "LIMIT", 100_000)
    monkeypatch.setattr(Console, "TAIL", 1000)
    made, side = console
    side.settimeout(10)
    for _ in range(40):
        side.sendall(b"x" * 99_999 + b"\n")
    side.sendall(b"last words\n")
    side.close()
    wait.until(lambda: made.read().endswith(b"last words\n"), "the console's end")
    assert len(made.read()) == 101_000
    made.close()
    assert made.raw_file.stat().st_size == 100_000


def test_a_writer_never_waits_for_who_does_not_read_and_sends_all_in_order() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = Writer(ours, "test")
        parts = [bytes([number]) * 100_000 for number in range(40)]
        for part in parts:
            writer.send(part)
        theirs.settimeout(10)
        came = bytearray()
        while len(came) < 4_000_000:
            came += theirs.recv(1 << 16)
        assert bytes(came) == b"".join(parts)
        ours.shutdown(socket.SHUT_RDWR)
        writer.close()


def test_what_waits_can_be_replaced() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = Writer(ours, "test")
        writer.send(b"a" * 10_000_000)  # under way: more than a socket holds
        wait.until(lambda: writer._waiting == b"", "the first write")
        writer.send(b"never")
        writer.send(b"instead", instead=True)
        theirs.settimeout(10)
        came = bytearray()
        while not came.endswith(b"instead"):
            came += theirs.recv(1 << 16)
        assert bytes(came) == b"a" * 10_000_000 + b"instead"
        ours.shutdown(socket.SHUT_RDWR)
        writer.close()


def test_a_writer_ends_though_nobody_reads() -> None:
    before = threading.active_count()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = Writer(ours, "test")
        writer.send(b"a" * 10_000_000)
        ours.shutdown(socket.SHUT_RDWR)
        writer.close()
        writer.close()
        assert threading.active_count() == before
        writer.send(b"to nobody")
