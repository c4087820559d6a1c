"""Neither side of the control port trusts the other: a guest that says what it likes, and a host that was cut off."""

from __future__ import annotations

import array
import fcntl
import os
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import CommandTimeoutError, MachineLostError
from lab.machines.agent import ROOT
from lab.machines.frames import FRAME_COST, MAX_PAYLOAD, OUTPUT_WINDOW, VERSION, Kind, encode, encode_number, encode_run
from lab.machines.result import Result
from tests.support import agents, wait
from tests.support.agents import Guest, Host

SESSION = b"0123456789abcdef"
HELLO = encode(Kind.HELLO, 0, struct.pack("<4sHH16s", b"KLAB", VERSION, 2, SESSION))
START = encode(Kind.START, 0, SESSION)
FIRST = 1  # the number of a host's first command


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    """A guest whose port is the test's own."""
    with agents.guest(tmp_path, Path("/nonexistent")) as made:
        made.port.settimeout(10)
        yield made


@pytest.fixture
def running(guest: Guest) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool
        guest.dead = MachineLostError("the test is over")
        guest.agent.announce()


def expect(guest: Guest, data: bytes) -> None:
    """The host sends exactly this next."""
    came = b""
    while len(came) < len(data):
        came += guest.port.recv(len(data) - len(came))
    assert came == data


def started(guest: Guest) -> None:
    """A host that has been greeted has started `true`, without input."""
    guest.port.sendall(HELLO)
    login = replace(ROOT, folder=guest.agent._login.folder)
    expect(guest, START + encode_run(FIRST, ["true"], login) + encode(Kind.STDIN_END, FIRST))


def outcome(guest: Guest, running: ThreadPoolExecutor, data: bytes) -> Result:
    """What `true` comes to when the guest answers with `data`."""
    result = running.submit(guest.agent.run, ["true"], 10)
    started(guest)
    guest.port.sendall(data)
    return result.result(20)


def test_a_guest_that_speaks_well_is_believed(guest: Guest, running: ThreadPoolExecutor) -> None:
    said = encode_number(Kind.STARTED, 1, 9) + encode(Kind.STDOUT, 1, b"out") + encode_number(Kind.EXIT, 1, 0x300)
    result = outcome(guest, running, said)
    assert (result.status, result.stdout) == (3, b"out")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\xff" * 8, "a frame of 4294967295 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of 542393671 bytes"),
        (encode(Kind.RUN, 1, b"x"), "a frame of the unknown kind 2"),
        (encode(Kind.STDOUT, 2, b"x"), "STDOUT for command 2, which does not run"),
        (encode(Kind.STDOUT, 1), "more output than it may"),
        (encode_number(Kind.FED, 1, 1), "that it took more input than there was"),
        (encode(Kind.FED, 1, b""), "a number of 0 bytes"),
        (encode(Kind.EXIT, 1, b"12345"), "a number of 5 bytes"),
        (encode_number(Kind.EXIT, 1, 0x7F), "an end with status 0x7f"),
        (encode(Kind.FAILED, 1, b"1234"), "a failure of 4 bytes"),
        (encode_number(Kind.EXIT, 3, 0), "EXIT for command 3, which does not run"),
        (encode(Kind.HELLO, 0, b"hello"), "a greeting of 5 bytes"),
    ],
)
def test_what_a_guest_must_not_say_is_one_sentence_and_the_machine_lost(
    guest: Guest, running: ThreadPoolExecutor, said: bytes, why: str
) -> None:
    with pytest.raises(MachineLostError, match=f"the guest's agent sent {why}"):
        outcome(guest, running, said)
    with pytest.raises(MachineLostError, match=why):
        guest.agent.run(["true"], 10)


@pytest.mark.parametrize(
    "said",
    [
        encode(Kind.STDERR, 1, bytes(MAX_PAYLOAD)) * 9,
        encode(Kind.STDOUT, 1, b"x") * (OUTPUT_WINDOW // (1 + FRAME_COST) + 2),
    ],
    ids=["large", "small"],
)
def test_a_guest_that_sends_more_than_its_window_is_lost(
    guest: Guest, running: ThreadPoolExecutor, said: bytes
) -> None:
    """However small the parts: each costs the host memory."""
    hold = threading.Event()

    def take(_: bytes) -> None:
        hold.wait(20)

    result = running.submit(guest.agent.run, ["true"], 10, stdout=take, stderr=take)
    started(guest)
    guest.port.sendall(said)
    wait.until(lambda: guest.agent._fault != "", "the fault")
    hold.set()
    with pytest.raises(MachineLostError, match="the guest's agent sent more output than it may"):
        result.result(20)


def test_what_comes_after_a_fault_is_read_but_not_kept(guest: Guest, running: ThreadPoolExecutor) -> None:
    """A guest must never be able to wait for the host, nor to fill its memory."""
    with pytest.raises(MachineLostError):
        outcome(guest, running, b"\xff" * 8)
    for _ in range(1000):
        guest.port.sendall(bytes(1 << 16))
    assert guest.agent._decoder._rest == b""


def test_a_guest_may_send_as_much_as_its_window_and_more_when_it_was_taken(
    guest: Guest, running: ThreadPoolExecutor
) -> None:
    part = encode(Kind.STDOUT, 1, bytes((8 << 10) - FRAME_COST))
    result = running.submit(guest.agent.run, ["true"], 10)
    started(guest)
    for _ in range(8):
        guest.port.sendall(part * (OUTPUT_WINDOW // len(part) // 2))
        header = guest.port.recv(8)
        length, kind, number = struct.unpack("<IHH", header)
        assert (length, kind, number) == (4, Kind.TAKEN, 1)
        assert struct.unpack("<I", guest.port.recv(4))[0] == OUTPUT_WINDOW // 2
    guest.port.sendall(encode_number(Kind.EXIT, 1, 0))
    assert len(result.result(20).stdout) == 4 * OUTPUT_WINDOW - FRAME_COST * 4 * OUTPUT_WINDOW // len(part)


def test_a_guest_that_says_nothing_meets_the_deadline(guest: Guest, running: ThreadPoolExecutor) -> None:
    assert guest.agent.wait_ready(0.05) is False
    with pytest.raises(CommandTimeoutError, match="did not take true within 0 s"):
        guest.agent.run(["true"], 0.05)
    result = running.submit(guest.agent.run, ["true"], 0.3)
    started(guest)
    with pytest.raises(CommandTimeoutError, match="true did not end within 0 s"):
        result.result(20)
    expect(guest, encode(Kind.KILL, FIRST))


def test_a_guest_that_does_not_read_holds_up_nobody_past_the_deadline(
    guest: Guest, running: ThreadPoolExecutor
) -> None:
    guest.port.sendall(HELLO)
    start = time.monotonic()
    results = [running.submit(guest.agent.run, ["true"], 0.3, stdin=bytes(10 << 20)) for _ in range(2)]
    for result in results:
        with pytest.raises(CommandTimeoutError):
            result.result(20)
    assert time.monotonic() - start < 5
    assert guest.agent.close(1.0) is None  # type: ignore[func-returns-value]


def test_the_end_of_a_command_that_was_given_up_frees_its_number(guest: Guest) -> None:
    guest.port.sendall(HELLO)
    with pytest.raises(CommandTimeoutError):
        guest.agent.run(["true"], 0.05)
    guest.port.sendall(encode(Kind.STDOUT, 1, b"late") + encode_number(Kind.EXIT, 1, 9))
    wait.until(lambda: not guest.agent._commands, "the end")


def test_a_death_wakes_who_waits(guest: Guest, running: ThreadPoolExecutor) -> None:
    result = running.submit(guest.agent.run, ["true"], 1000)
    started(guest)
    guest.dead = MachineLostError("its kernel panicked")
    guest.agent.announce()
    with pytest.raises(MachineLostError, match="its kernel panicked"):
        result.result(20)


def test_a_port_that_is_closed_is_a_lost_machine(guest: Guest, running: ThreadPoolExecutor) -> None:
    result = running.submit(guest.agent.run, ["true"], 1000)
    started(guest)
    guest.port.shutdown(2)
    with pytest.raises(MachineLostError, match="QEMU closed the port"):
        result.result(20)
    with pytest.raises(MachineLostError, match="QEMU closed the port"):
        guest.agent.run(["true"], 1000)


def test_closing_twice_does_no_harm_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with agents.guest(tmp_path, Path("/nonexistent")) as guest:
        guest.agent.close()
        guest.agent.close()
        assert threading.active_count() == before


@pytest.fixture
def host(agent_program: Path) -> Iterator[Host]:
    with agents.host(agent_program) as made:
        yield made


def greeted(host: Host) -> bytes:
    """The START that the agent waits for."""
    hello = host.read(32)
    assert hello[:16] == encode(Kind.HELLO, 0, struct.pack("<4sHH16s", b"KLAB", VERSION, 32, bytes(16)))[:16]
    return encode(Kind.START, 0, hello[16:])


LOGIN = replace(ROOT, folder="/")


def test_everything_before_the_start_of_its_own_session_is_dropped_by_the_agent(host: Host) -> None:
    start = greeted(host)
    marker = "/tmp/lab-must-not-be-there"
    stale = encode_run(7, ["touch", marker], LOGIN)
    for junk in (stale, START, start[:-1] + b"\1", os.urandom(100_000), stale[5:], start[:9]):
        host.side.sendall(junk)
    host.side.sendall(start + encode_run(1, ["echo", "hi"], LOGIN) + encode(Kind.STDIN_END, 1))
    assert host.read(12)[:8] == encode_number(Kind.STARTED, 1, 0)[:8]
    assert host.read(11) == encode(Kind.STDOUT, 1, b"hi\n")
    assert host.read(12) == encode_number(Kind.EXIT, 1, 0)
    assert not Path(marker).exists()


def test_what_is_said_to_a_command_that_has_ended_is_dropped(host: Host) -> None:
    late = encode(Kind.STDIN, 1, b"x") + encode(Kind.KILL, 1) + encode_number(Kind.TAKEN, 1, 5)
    host.side.sendall(greeted(host) + late + encode_run(1, ["true"], LOGIN))
    assert host.read(24)[12:] == encode_number(Kind.EXIT, 1, 0)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff" * 8, "a frame that is too long"),
        (encode(Kind.HELLO, 1), "a frame of an unknown kind"),
        (encode(Kind.RUN, 1), "a command without words"),
        (encode(Kind.RUN, 1, struct.pack("<HHHH", 1, 0, 0, 0) + b"/\0true"), "a command without words"),
        (encode(Kind.RUN, 1, struct.pack("<HHHH", 2, 0, 0, 0) + b"/\0true\0"), "fewer words than it says"),
        (encode(Kind.RUN, 1, struct.pack("<HHHH", 1, 1, 0, 0) + b"/\0true\0"), "fewer words than it says"),
        (encode(Kind.RUN, 1, struct.pack("<HHHH", 0, 0, 0, 0) + b"/\0"), "fewer words than it says"),
        (
            encode(Kind.RUN, 1, struct.pack("<HHHH", 1, 0, 0, 0) + b"/\0true\0" + b"x\0" * 9000),
            "more words than it says",
        ),
        (encode_run(1, ["sleep", "9"], LOGIN) * 2, "used a number twice"),
        (encode_run(1, ["sleep", "9"], LOGIN) + encode(Kind.STDIN, 1, bytes(30_000)) * 5, "more input than it may"),
        (encode_run(1, ["sleep", "9"], LOGIN) + encode_number(Kind.TAKEN, 1, 1), "took more than it was sent"),
        (encode_run(1, ["sleep", "9"], LOGIN) + encode(Kind.TAKEN, 1), "a frame of a wrong size"),
        (b"".join(encode_run(n, ["sleep", "9"], LOGIN) for n in range(33)), "more commands than there is room for"),
    ],
)
def test_an_agent_ends_rather_than_guess(host: Host, data: bytes, why: str) -> None:
    host.side.sendall(greeted(host) + data)
    assert why in host.said()


def test_a_host_that_does_not_read_does_not_stop_the_agent_from_reading(host: Host) -> None:
    """Of four floods each fills its window; the input of a fifth is still taken."""
    start = greeted(host)
    host.side.sendall(start + b"".join(encode_run(n, ["yes"], LOGIN) for n in range(4)))
    host.side.sendall(encode_run(9, ["sh", "-c", "exec cat >/dev/null"], LOGIN))
    host.side.sendall(encode(Kind.STDIN, 9, bytes(32_000)) * 2 + encode(Kind.STDIN_END, 9))
    seen = 0
    while True:
        length, kind, number = struct.unpack("<IHH", host.read(8))
        payload = host.read(length)
        seen += len(payload) if kind == Kind.STDOUT else 0
        if kind == Kind.EXIT and number == 9:
            break
    assert seen <= 4 * OUTPUT_WINDOW


def test_what_had_no_room_is_said_when_the_frame_has_gone(host: Host) -> None:
    """Nothing else happens then by which the agent would come back to it: the windows are used up, to the byte."""
    silent = encode_run(9, ["sh", "-c", "exec cat >/dev/null 2>&1"], LOGIN)
    host.side.sendall(greeted(host) + silent + encode_run(1, ["yes"], LOGIN))
    cat, flood = 0, 0
    while cat == 0 or flood < OUTPUT_WINDOW - FRAME_COST:
        kind, number, payload = frame(host)
        flood += FRAME_COST + len(payload) if kind == Kind.STDOUT else 0
        cat = struct.unpack("<I", payload)[0] if (kind, number) == (Kind.STARTED, 9) else cat
    # Each time a whole frame, until the port takes no more: then as much as fills the agent's own.
    whole, given = FRAME_COST + MAX_PAYLOAD, OUTPUT_WINDOW - flood
    while given - queued(host) <= 2 * FRAME_COST:
        host.side.sendall(encode_number(Kind.TAKEN, 1, whole))
        given += whole
        rest(host)
    host.side.sendall(encode_number(Kind.TAKEN, 1, max(1, whole - (given - queued(host)))))
    rest(host)
    host.side.sendall(encode(Kind.STDIN_END, 9))
    wait.until(lambda: wait.gone(cat), "the end of cat")
    rest(host)
    host.side.settimeout(10)
    while frame(host)[:2] != (Kind.EXIT, 9):
        pass


def rest(host: Host) -> None:
    """Wait until the agent waits, and has read what it was sent; look by look, for the flood is not always there."""
    looks = [False] * 20

    def resting() -> bool:
        looks[:] = [*looks[1:], idle(host)]
        return all(looks)

    wait.until(resting, "the agent's rest")


def frame(host: Host) -> tuple[int, int, bytes]:
    """The next frame of the agent's: its kind, its command's number and what is in it."""
    length, kind, number = struct.unpack("<IHH", host.read(8))
    return kind, number, host.read(length)


def queued(host: Host) -> int:
    """How many bytes of the agent's wait to be read."""
    size = array.array("i", [0])
    fcntl.ioctl(host.side, termios.FIONREAD, size)
    return size[0]


def idle(host: Host) -> bool:
    left = array.array("i", [0])
    fcntl.ioctl(host.side, termios.TIOCOUTQ, left)
    state = Path(f"/proc/{host.program.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return left[0] == 0 and state == "S"


def test_an_agent_without_its_port_says_so(agent_program: Path) -> None:
    for words, said in (
        (["/nonexistent"], "/nonexistent: No such file"),
        (["99"], "99: Bad file descriptor"),
        ([], "usage: "),
    ):
        done = subprocess.run([agent_program, *words], capture_output=True, timeout=10, check=False)
        assert done.returncode != 0
        assert said in done.stderr.decode()
