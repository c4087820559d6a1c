"""A machine's door: what visitors ask for is done and told, and no visitor harms the machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError, MachineLostError
from lab.machines.door import Door, Services
from lab.machines.doorframes import SOCKET, Kind, receive, send, send_json
from lab.machines.result import Result
from lab.machines.visitor import Visited, Visitor
from tests.support import wait

LONG = 10.0


class Guest:
    """Runs words that mean something to tests; echoes any other."""

    def __init__(self) -> None:
        self.typed = b""
        self.files: dict[str, bytes] = {}
        self.looked = threading.Event()
        self.released = threading.Event()
        self.abandoned = threading.Event()
        self.together = threading.Barrier(2)

    def run(self, argv: list[str], seconds: float, **more: Any) -> Result:
        match argv[0]:
            case "meet":
                self.together.wait(LONG)
            case "fail":
                raise LabError("the guest does not want to", hint="ask again")
            case "wait":
                while not more["gone"]():
                    assert self.looked.wait(LONG)
                self.abandoned.set()
                raise LabError("nobody waits for it any more")
            case "length":
                argv = ["length", str(len(os.fsencode(argv[1])))]
            case "flood":
                for _ in range(100):
                    more["stdout"](b"x" * (1 << 16))
        more["stdout"](" ".join(argv).encode() + more["stdin"])
        more["stderr"](f"{seconds:g}".encode())
        return Result(tuple(argv), -9 if argv[0] == "killed" else 3, b"", b"")

    def type(self, keys: bytes) -> None:
        self.typed += keys

    def put(self, path: str, file: Path) -> None:
        if not file.is_file():
            raise LabError(f"{file} cannot be put into the guest")
        self.files[path] = file.read_bytes()


@pytest.fixture
def guest() -> Guest:
    return Guest()


@pytest.fixture
def visitor(guest: Guest, tmp_path: Path) -> Iterator[Visitor]:
    door = Door(tmp_path, Services(guest.run, guest.looked.set, guest.type, guest.released.set, guest.put))
    yield Visitor(tmp_path)
    door.close()


def run(visitor: Visitor, *argv: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    out, err = bytearray(), bytearray()
    status = visitor.run(argv, 5, out.extend, err.extend, stdin=stdin)
    return status, bytes(out), bytes(err)


def test_a_command_gives_its_output_and_status(visitor: Visitor) -> None:
    assert run(visitor, "say", "it", stdin=b" twice") == (3, b"say it twice", b"5")
    assert run(visitor, "killed")[0] == -9


def test_words_that_are_no_utf8_arrive_as_they_are(visitor: Visitor) -> None:
    word = b"/\xff".decode(errors="surrogateescape")
    assert run(visitor, "length", word)[1] == b"length 2"


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side closes the connection without a word; one that left something unread resets it."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_visitors_are_served_beside_each_other(visitor: Visitor) -> None:
    with ThreadPoolExecutor() as others:
        both = [others.submit(run, visitor, "meet", name) for name in "ab"]
        assert [each.result(LONG)[1] for each in both] == [b"meet a", b"meet b"]


def test_the_machines_own_words_reach_the_visitor(visitor: Visitor) -> None:
    with pytest.raises(LabError, match="does not want to") as caught:
        run(visitor, "fail")
    assert caught.value.hint == "ask again"


def test_a_visitor_that_hangs_up_ends_its_command(visitor: Visitor, guest: Guest) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(visitor.folder / SOCKET))
        send_json(connection, Kind.ASK, {"do": "run", "argv": ["wait"], "seconds": 60, "data": 0})
    assert guest.abandoned.wait(LONG)


def test_much_output_comes_whole(visitor: Visitor) -> None:
    assert len(run(visitor, "flood")[1]) == 100 * (1 << 16) + len("flood")


def test_keys_are_typed_and_a_kept_machine_is_released(visitor: Visitor, guest: Guest) -> None:
    visitor.type(b"hello\n")
    assert guest.typed == b"hello\n"
    visitor.release()
    assert guest.released.is_set()


@pytest.mark.parametrize(
    "ask",
    [
        {"do": "nothing"},
        {"do": "run"},
        {"do": "run", "argv": [], "seconds": 1},
        {"do": "run", "argv": [3], "seconds": 1},
        {"do": "run", "argv": ["x"], "seconds": -1},
        {"do": "run", "argv": ["x"], "seconds": "1"},
        {"do": "run", "argv": ["x"], "seconds": float("nan")},
        {"do": "put", "path": "/x", "file": "relative"},
        {"do": "put", "path": 3, "file": "/x"},
    ],
)
def test_a_request_that_is_none_is_refused_in_words(visitor: Visitor, ask: dict[str, Any]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LONG)
        connection.connect(str(visitor.folder / SOCKET))
        send_json(connection, Kind.ASK, ask)
        answer = receive(connection)
    assert answer is not None
    assert answer[0] is Kind.FAILED
    assert b"the machine was asked for" in answer[1]


@pytest.mark.parametrize(
    "data", [b"", b"x", b"zzzzzzzz", b"a\xff\xff\xff\xff", b"a\x02\x00\x00\x00[]", b"a\x01\x00\x00\x00{"]
)
def test_what_is_no_request_at_all_is_hung_up_on(visitor: Visitor, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LONG)
        connection.connect(str(visitor.folder / SOCKET))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert hung_up(connection)
    assert run(visitor, "still")[0] == 3


def test_data_that_is_not_what_was_announced_is_hung_up_on(visitor: Visitor) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LONG)
        connection.connect(str(visitor.folder / SOCKET))
        send_json(connection, Kind.ASK, {"do": "run", "argv": ["x"], "seconds": 1, "data": 10})
        send(connection, Kind.STDOUT, b"0123456789")
        assert connection.recv(100) == b""


def test_a_machine_that_ended_says_so(tmp_path: Path) -> None:
    with pytest.raises(MachineLostError, match="ended, or speaks no longer"):
        Visitor(tmp_path).run(["x"], 1, lambda _: None, lambda _: None)


def test_no_thread_stays_when_visitors_are_gone(visitor: Visitor) -> None:
    for _ in range(5):
        run(visitor, "x")
    names = ("lab-visitor", "lab-visitor-gone")
    wait.until(lambda: not [each for each in threading.enumerate() if each.name in names], "the visitors' end", LONG)


def test_a_file_of_the_host_is_put_into_the_guest(visitor: Visitor, guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0" * 3)
    visitor.put("/run/it", tmp_path / "file", LONG)
    assert guest.files == {"/run/it": b"\0" * 3}
    with pytest.raises(LabError, match="cannot be put into the guest"):
        visitor.put("/run/it", tmp_path / "none", LONG)


def test_a_visitor_runs_commands_as_the_machine_itself_does(visitor: Visitor) -> None:
    done = Visited(visitor).run(["say", "it"], check=False, deadline=2.0, stdin=b"!")
    assert (done.status, done.stdout, done.stderr) == (3, b"say it!", b"16")
    with pytest.raises(LabError, match="say ended with status 3 in the guest"):
        Visited(visitor).run(["say"])
