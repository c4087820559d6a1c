"""A machine's clock, random state and names are set, or it is said which could not be."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.errors import LabError, MachineLostError
from lab.machines import identity
from lab.machines.frames import VERSION, Kind, encode
from lab.machines.identity import NOBODY, renew
from tests.support import agents
from tests.support.agents import Guest

SESSION = b"0123456789abcdef"
HELLO = encode(Kind.HELLO, 0, struct.pack("<4sHH16s", b"KLAB", VERSION, 2, SESSION))
HEADER = struct.Struct("<IHH")
FIRST = [Kind.CLOCK, Kind.ENTROPY, Kind.HOST_NAME, Kind.MACHINE_ID]


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    with agents.guest(tmp_path, Path("/nonexistent")) as made:
        made.port.settimeout(10)
        made.port.sendall(HELLO)
        assert made.agent.wait_ready(10)
        assert take(made) == (Kind.START, SESSION)
        yield made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def take(guest: Guest) -> tuple[Kind, bytes]:
    """The next frame that the host sends."""
    length, kind, _ = HEADER.unpack(guest.port.recv(HEADER.size, 0x100))  # MSG_WAITALL
    return Kind(kind), guest.port.recv(length, 0x100) if length else b""


def answer(guest: Guest, kind: Kind, error: int = 0) -> None:
    guest.port.sendall(encode(Kind.DONE, 0, struct.pack("<II", kind, error)))


def asked(guest: Guest) -> dict[Kind, bytes]:
    """What a machine is given, in its order."""
    came = dict(take(guest) for _ in FIRST)
    assert list(came) == FIRST
    return came


def test_a_machine_gets_the_time_random_bytes_and_names(guest: Guest, pool: ThreadPoolExecutor) -> None:
    done: list[Future[None]] = []
    seen = []
    for _ in range(2):
        done.append(pool.submit(renew, guest.agent, "lab-1234", 10))
        seen.append(came := asked(guest))
        assert abs(struct.unpack("<Q", came[Kind.CLOCK])[0] / 1e9 - time.time()) < 1
        assert came[Kind.HOST_NAME] == b"lab-1234"
        assert len(came[Kind.MACHINE_ID]) == 32
        assert len(came[Kind.ENTROPY]) == 64
        for kind in FIRST:
            answer(guest, kind)
        done[-1].result(10)
    assert seen[0][Kind.ENTROPY] != seen[1][Kind.ENTROPY]
    assert seen[0][Kind.MACHINE_ID] != seen[1][Kind.MACHINE_ID]


def test_a_machine_that_is_saved_for_others_is_nobody(guest: Guest, pool: ThreadPoolExecutor) -> None:
    done = pool.submit(renew, guest.agent, NOBODY, 10)
    assert asked(guest)[Kind.MACHINE_ID] == b"0" * 32
    for kind in FIRST:
        answer(guest, kind)
    done.result(10)


def test_a_clock_that_was_set_too_slowly_is_set_again(
    guest: Guest, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_CLOCK_ERROR", 0.0)
    done = pool.submit(renew, guest.agent, "lab-1234", 10)
    first = asked(guest)[Kind.CLOCK]
    for kind in FIRST:
        answer(guest, kind)
    kind, second = take(guest)
    assert kind is Kind.CLOCK
    assert struct.unpack("<Q", second) > struct.unpack("<Q", first)
    monkeypatch.setattr(identity, "_CLOCK_ERROR", 100.0)
    answer(guest, Kind.CLOCK)
    done.result(10)


def test_what_the_guests_kernel_refuses_is_named(guest: Guest, pool: ThreadPoolExecutor) -> None:
    done = pool.submit(renew, guest.agent, "lab-1234", 10)
    asked(guest)
    for kind in FIRST:
        answer(guest, kind, 1 if kind is Kind.ENTROPY else 0)
    with pytest.raises(LabError, match=r"refuses what a machine of its own needs: entropy \(Operation not permitted\)"):
        done.result(10)


def test_an_agent_that_begins_anew_meanwhile_has_done_none_of_it(guest: Guest, pool: ThreadPoolExecutor) -> None:
    done = pool.submit(renew, guest.agent, "lab-1234", 10)
    asked(guest)
    answer(guest, Kind.CLOCK)
    guest.port.sendall(HELLO)
    with pytest.raises(LabError, match="ENTROPY, HOST_NAME, MACHINE_ID"):
        done.result(10)


@pytest.mark.parametrize("kind", [Kind.ENTROPY, Kind.MACHINE_ID])
def test_an_answer_out_of_order_is_a_lost_machine(guest: Guest, pool: ThreadPoolExecutor, kind: Kind) -> None:
    done = pool.submit(renew, guest.agent, "lab-1234", 10)
    asked(guest)
    answer(guest, kind)
    with pytest.raises(MachineLostError, match=f"an answer to {kind.name}, which it was not asked"):
        done.result(10)


def test_an_agent_that_does_not_answer_is_a_lost_machine(guest: Guest) -> None:
    with pytest.raises(MachineLostError, match="did not answer within"):
        renew(guest.agent, "lab-1234", 0.1)
