"""QEMU's monitor (QMP), spoken by QEMU's own client in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import QMPClient, QMPError

from lab.errors import MachineLostError
from lab.machines.sockets import short_name

_DEADLINE = 30.0
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)")

# Events after which a guest will not run again by itself (QEMU's qapi/run-state.json).
_DEATHS = {"SHUTDOWN": "it shut down or crashed", "GUEST_PANICKED": "its kernel panicked"}

# How a migration ends (qapi/migration.json, MigrationStatus).
_MIGRATED, _MIGRATION_ENDS = "completed", ("completed", "failed", "cancelled")

T = TypeVar("T")


class Monitor:
    """One machine's monitor. `died(reason)` is called once, from the monitor's thread, when the guest has ended."""

    def __init__(self, path: Path, died: Callable[[str], None]) -> None:
        self._died = died
        self._client = QMPClient("lab")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab-monitor", daemon=True)
        self._thread.start()
        self._opening: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._migrated: concurrent.futures.Future[str] = concurrent.futures.Future()
        try:
            self._wait(self._open(path), _DEADLINE)
        except BaseException:
            self.close()
            raise

    def execute(self, command: str, arguments: dict[str, object] | None = None, deadline: float = _DEADLINE) -> Any:
        """Run a command and return its answer; MachineLostError when QEMU does not answer or refuses."""
        try:
            return self._wait(self._client.execute(command, arguments), deadline)
        except QMPError as error:
            raise MachineLostError(f"QEMU did not do {command}: {error}") from error

    def ssh_port(self) -> int:
        """The loopback port that the host's kernel chose for the guest's port 22."""
        text = str(self.execute("human-monitor-command", {"command-line": "info usernet"}))
        match = _FORWARD.search(text)
        if match is None:
            raise MachineLostError("QEMU forwards no port to the guest's SSH server")
        return int(match.group(1))

    def cpu_threads(self) -> list[int]:
        """The host's threads in which the guest's CPUs run, in the CPUs' order; all the same where they take turns."""
        return [int(cpu["thread-id"]) for cpu in self.execute("query-cpus-fast")]

    def save(self, path: Path, deadline: float = _DEADLINE) -> None:
        """Write the machine's state, without its memory, into the file; LabError when QEMU does not get there."""
        self._migrate("migrate", {"channels": _channels(path)}, deadline)

    def restore(self, path: Path, deadline: float = _DEADLINE) -> None:
        """Take up a state that `save` wrote; LabError when QEMU cannot."""
        # Else QEMU ends, and says why where nobody expects it.
        self._migrate("migrate-incoming", {"channels": _channels(path), "exit-on-error": False}, deadline)

    def _migrate(self, command: str, arguments: dict[str, object], deadline: float) -> None:
        # Memory that lies in a shared file stays there.
        capabilities = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]
        self.execute("migrate-set-capabilities", {"capabilities": capabilities})
        self._migrated = concurrent.futures.Future()
        self.execute(command, arguments)
        try:
            status = self._migrated.result(deadline)
        except concurrent.futures.TimeoutError as error:
            raise MachineLostError(f"QEMU did not finish {command} within {deadline:.0f} s") from error
        if status != _MIGRATED:
            said = self.execute("query-migrate").get("error-desc", status)
            raise MachineLostError(f"QEMU did not do {command}: {said}")

    def close(self) -> None:
        """Leave the monitor; safe to call twice and on a monitor that never opened."""
        if self._loop.is_closed():
            return
        try:
            self._wait(self._leave(), _DEADLINE)
        except (QMPError, MachineLostError, OSError, EOFError):
            pass  # QEMU is gone already, which is what closing is for
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_DEADLINE)
            self._loop.close()

    async def _open(self, path: Path) -> None:
        self._opening = asyncio.current_task()
        try:
            with short_name(path) as short:
                await self._client.connect(short)
        except (QMPError, OSError) as error:
            raise MachineLostError(f"QEMU ended before it answered: {error}") from error
        self._listener = asyncio.create_task(self._listen())

    async def _leave(self) -> None:
        """Disconnect. What Ctrl-C left unfinished ends here too: else it is destroyed with its loop, and says so."""
        await _end(self._opening, self._listener)  # before: the client takes no two goodbyes at once
        try:
            await self._client.disconnect()
        finally:
            await _end(*asyncio.all_tasks() - {asyncio.current_task()})

    async def _listen(self) -> None:
        async for event in self._client.events:
            self._note_migration(event)
            reason = _DEATHS.get(str(event["event"]))
            if reason is not None:
                data = event.get("data")
                detail = data.get("reason") or data.get("action") if isinstance(data, dict) else ""
                self._died(f"{reason} ({detail})" if detail else reason)

    def _note_migration(self, event: Mapping[str, Any]) -> None:
        status = str(event.get("data", {}).get("status", "")) if event["event"] == "MIGRATION" else ""
        if status in _MIGRATION_ENDS and not self._migrated.done():
            self._migrated.set_result(status)

    def _wait(self, work: Coroutine[Any, Any, T], deadline: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(deadline)
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            raise MachineLostError(f"QEMU's monitor did not answer within {deadline:.0f} s") from error


async def _end(*tasks: asyncio.Task[Any] | None) -> None:
    left = [task for task in tasks if task is not None and not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _channels(path: Path) -> list[dict[str, object]]:
    """Where a migration goes or comes from, in a form that leaves no character of a path a meaning."""
    return [{"channel-type": "main", "addr": {"transport": "file", "filename": str(path), "offset": 0}}]
