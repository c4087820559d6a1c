"""The monitor tells when a guest has ended, and never waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.errors import MachineLostError
from lab.machines import monitor as monitor_module
from lab.machines.monitor import Monitor
from tests.support import wait

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": ""}, "capabilities": []}}
USERNET = "Hub -1 (net):\n  TCP[HOST_FORWARD]  12       127.0.0.1 40123       10.0.2.15    22     0     0\n"


class Qemu:
    """The other side of QMP: answers commands with `answers`, a dict as an error, None not at all; `heard` are their
    arguments, `results` what it answers with else, `ends` what it says of a migration that was asked for. `silent` is
    called where it does not answer or greet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Any] = {}
        self.heard: dict[str, Any] = {}
        self.results: dict[str, Any] = {}
        self.ends = ""
        self.silent: Callable[[], None] = lambda: None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._side: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, message: dict[str, Any]) -> None:
        assert self._side is not None
        self._side.sendall(json.dumps(message).encode() + b"\n")

    def event(self, name: str, **data: Any) -> None:
        self.say({"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 0}})

    def end(self) -> None:
        for end in (self._side, self._listener):
            if end is not None:
                with contextlib.suppress(OSError):  # the host has left already
                    end.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        for end in (self._side, self._listener):
            if end is not None:
                end.close()

    def _serve(self) -> None:
        try:
            self._side, _ = self._listener.accept()
            if "greeting" in self.answers:
                self._side.sendall(self.answers["greeting"])
                self.silent()
                return
            self.say(GREETING)
            self._read(self._side)
        except OSError:
            return

    def _read(self, side: socket.socket) -> None:
        """QMP ends its messages by their last bracket, not by a newline."""
        text = ""
        while data := side.recv(1 << 16):
            text = (text + data.decode()).lstrip()
            while text:
                try:
                    command, end = json.JSONDecoder().raw_decode(text)
                except ValueError:
                    break
                text = text[end:].lstrip()
                self._answer(command)

    def _answer(self, command: dict[str, Any]) -> None:
        self.heard[command["execute"]] = command.get("arguments")
        answer = self.answers.get(command["execute"], "")
        result = self.results.get(command["execute"], answer or {})
        number = {"id": command["id"]} if "id" in command else {}
        if isinstance(answer, dict):
            self.say({"error": answer, **number})
        elif answer is not None:
            self.say({"return": result, **number})
        else:
            self.silent()
        if self.ends and command["execute"].startswith("migrate") and "channels" in command["arguments"]:
            self.event("MIGRATION", status="active")
            self.event("MIGRATION", status=self.ends)


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    made = Qemu(tmp_path / "s")
    yield made
    made.end()


@pytest.fixture
def reasons() -> list[str]:
    return []


@pytest.fixture
def monitor(qemu: Qemu, reasons: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    monkeypatch.setattr(monitor_module, "_DEADLINE", 5.0)
    made = Monitor(qemu.path, reasons.append)
    yield made
    made.close()


def test_the_forwarded_port_is_found(qemu: Qemu, monitor: Monitor) -> None:
    qemu.answers["human-monitor-command"] = USERNET
    assert monitor.ssh_port() == 40123


def test_the_threads_of_a_guests_cpus_are_known(qemu: Qemu, monitor: Monitor) -> None:
    qemu.results["query-cpus-fast"] = [{"cpu-index": 0, "thread-id": 41}, {"cpu-index": 1, "thread-id": 42}]
    assert monitor.cpu_threads() == [41, 42]


def test_a_guest_without_a_forwarded_port_is_lost(qemu: Qemu, monitor: Monitor) -> None:
    qemu.answers["human-monitor-command"] = "Hub -1 (net):\n"
    with pytest.raises(MachineLostError, match="forwards no port"):
        monitor.ssh_port()


@pytest.mark.parametrize(
    ("event", "data", "reason"),
    [
        ("SHUTDOWN", {"guest": True, "reason": "guest-panic"}, "it shut down or crashed (guest-panic)"),
        ("GUEST_PANICKED", {"action": "pause"}, "its kernel panicked (pause)"),
    ],
)
def test_a_guests_end_is_told(
    qemu: Qemu, monitor: Monitor, reasons: list[str], event: str, data: dict[str, Any], reason: str
) -> None:
    assert monitor.execute("cont") == {}
    qemu.event("RESUME")
    qemu.event(event, **data)
    wait.until(lambda: reasons != [], "the reason")
    assert reasons == [reason]


def test_a_refused_command_is_told_in_qemus_words(qemu: Qemu, monitor: Monitor) -> None:
    qemu.answers["cont"] = {"class": "GenericError", "desc": "not now"}
    with pytest.raises(MachineLostError, match="QEMU did not do cont: not now"):
        monitor.execute("cont")


def test_a_monitor_that_does_not_answer_has_a_deadline(qemu: Qemu, monitor: Monitor) -> None:
    qemu.answers["cont"] = None
    with pytest.raises(MachineLostError, match="did not answer"):
        monitor.execute("cont", deadline=0.1)


def test_a_qemu_that_is_gone_is_a_lost_machine(qemu: Qemu, monitor: Monitor) -> None:
    qemu.end()
    with pytest.raises(MachineLostError):
        monitor.execute("cont")


def test_a_machine_is_saved_into_a_file_without_the_memory_that_lies_in_one(
    qemu: Qemu, monitor: Monitor, tmp_path: Path
) -> None:
    qemu.ends = "completed"
    monitor.save(tmp_path / "a,b", 5)
    asked = {item["capability"]: item["state"] for item in qemu.heard["migrate-set-capabilities"]["capabilities"]}
    assert asked == {"x-ignore-shared": True, "events": True}
    (channel,) = qemu.heard["migrate"]["channels"]
    assert channel["addr"] == {"transport": "file", "filename": str(tmp_path / "a,b"), "offset": 0}


def test_a_state_that_qemu_cannot_take_up_is_told_in_its_words(qemu: Qemu, monitor: Monitor, tmp_path: Path) -> None:
    qemu.ends = "failed"
    qemu.results["query-migrate"] = {"status": "failed", "error-desc": "the stream is no state"}
    with pytest.raises(MachineLostError, match="QEMU did not do migrate-incoming: the stream is no state"):
        monitor.restore(tmp_path / "state", 5)
    assert qemu.heard["migrate-incoming"]["exit-on-error"] is False


def test_a_migration_that_does_not_end_has_a_deadline(qemu: Qemu, monitor: Monitor, tmp_path: Path) -> None:
    qemu.ends = "active"
    with pytest.raises(MachineLostError, match="did not finish migrate-incoming within"):
        monitor.restore(tmp_path / "state", 0.1)


@pytest.mark.parametrize("greeting", [b"", b"garbage\n", b"[]\n", b'{"QMP": 1}\n', b"x" * 100_000])
def test_a_qemu_that_ends_before_it_greets_leaves_no_thread(
    qemu: Qemu, reasons: list[str], monkeypatch: pytest.MonkeyPatch, greeting: bytes
) -> None:
    monkeypatch.setattr(monitor_module, "_DEADLINE", 2.0)
    qemu.answers["greeting"] = greeting
    threading.Timer(0.2, qemu.end).start()
    with pytest.raises(MachineLostError):
        Monitor(qemu.path, reasons.append)
    wait.until(lambda: "lab-monitor" not in {thread.name for thread in threading.enumerate()}, "the thread's end")


def ctrl_c() -> None:
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGINT)


def nothing_is_left() -> bool:
    gc.collect()  # a task that is destroyed unfinished says so, which fails the test
    return "lab-monitor" not in {thread.name for thread in threading.enumerate()}


def test_ctrl_c_while_qemu_is_connected_to_leaves_no_task_unfinished(
    qemu: Qemu, reasons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object, **__: object) -> None:
        ctrl_c()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_unix_connection", connect)
    with pytest.raises(KeyboardInterrupt):
        Monitor(qemu.path, reasons.append)
    assert nothing_is_left()


def test_ctrl_c_before_qemu_greets_leaves_no_task_unfinished(qemu: Qemu, reasons: list[str]) -> None:
    qemu.answers["greeting"], qemu.silent = b"", ctrl_c
    with pytest.raises(KeyboardInterrupt):
        Monitor(qemu.path, reasons.append)
    assert nothing_is_left()


def test_ctrl_c_in_a_command_leaves_no_task_unfinished(qemu: Qemu, reasons: list[str]) -> None:
    qemu.answers["cont"], qemu.silent = None, ctrl_c
    opened = Monitor(qemu.path, reasons.append)
    with pytest.raises(KeyboardInterrupt):
        opened.execute("cont")
    opened.close()
    del opened
    assert nothing_is_left()


def test_a_socket_that_is_not_there_is_a_lost_machine(tmp_path: Path, reasons: list[str]) -> None:
    with pytest.raises(MachineLostError, match="ended before it answered"):
        Monitor(tmp_path / "absent", reasons.append)


def test_closing_twice_and_after_qemus_end_does_no_harm(qemu: Qemu, monitor: Monitor) -> None:
    qemu.end()
    monitor.close()
    monitor.close()
