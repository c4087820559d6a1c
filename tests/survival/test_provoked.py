"""What is done to drivers against their will, and what came of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import ConsumerError, UnsupportedError
from lab.survival.provoked import Came, Provoked, Second
from tests.survival.stubs import Saying


class Lines:
    """An events port to which these lines come."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = list(lines)

    def count(self) -> int:
        return 0

    def since(self, start: int) -> list[bytes]:
        return self._lines[start:]

    def wait(self, ready: Any, deadline: float) -> bool:  # noqa: ARG002 - as Lines has it
        return bool(ready())


def provoked(*texts: str, status: int = 0, module: str = "tap", lines: Lines | None = None) -> tuple[Provoked, Any]:
    machine: Any = Saying(*texts, status=status)
    machine.events = lines or Lines()
    consumer = SimpleNamespace(command=("reader",), starts_within=10.0)
    deployment: Any = SimpleNamespace(
        machine=machine,
        consumer=consumer,
        mode=SimpleNamespace(module=module, load=(("insmod", "tap.ko"),)),
        build=SimpleNamespace(files={}, driver=SimpleNamespace(name="tap:kmod")),
        gone=0,
        unloaded=0,
    )
    deployment.processes = lambda: [71, 72]
    deployment.consumer_gone = lambda: setattr(deployment, "gone", 1)
    deployment.unload = lambda: setattr(deployment, "unloaded", 1)
    return Provoked(deployment), deployment


def test_a_second_consumer_reports_or_says_why_not() -> None:
    assert provoked("reports\nstatus 0\n")[0].second_consumer() == Second(True, 0, "")
    refused = provoked("status 1\nreader: /dev/tap: Device or resource busy\n")[0].second_consumer()
    assert refused == Second(False, 1, "reader: /dev/tap: Device or resource busy")


def test_what_a_killed_consumer_had_printed_is_waited_for() -> None:
    machine: Any
    with pytest.raises(ConsumerError, match="did not come"):
        provoked("", lines=Lines(b'{"half'))[0].kill_consumer()
    done, deployment = provoked("")
    machine = deployment.machine
    # The mark is in the command; the port tells it back.
    machine.events.wait = lambda *_: True
    done.kill_consumer()
    assert deployment.gone == 1
    assert machine.asked[0][-4].startswith("lab-killed-")
    assert machine.asked[0][-2:] == ["71", "72"], "a child that lives holds the port"


def test_a_module_that_is_held_is_not_taken_out() -> None:
    came = provoked("2\nrmmod: ERROR: Module tap is in use\n", status=1)[0].unload_now()
    assert came == Came(1, "2\nrmmod: ERROR: Module tap is in use")


def test_only_modules_are_loaded_twice_and_taken_out() -> None:
    for ask in ("load_again", "unload_now"):
        with pytest.raises(UnsupportedError, match="tap:kmod is no kernel module"):
            getattr(provoked(module="")[0], ask)()


def test_a_kernel_without_fault_injection_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match=r"build:6\.12\+fault"):
        provoked("", status=99)[0].load_failing(7)
    assert provoked("no memory", status=1)[0].load_failing(7) == Came(1, "no memory")


def test_what_was_loaded_though_an_allocation_failed_is_taken_out_again() -> None:
    for status in (0, 1):
        provoke, deployment = provoked("", status=status)
        assert provoke.load_failing(7) == Came(status, "")
        assert deployment.unloaded == (status == 0)
