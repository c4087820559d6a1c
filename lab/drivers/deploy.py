"""A driver loaded in a machine, and its consumer, whose lines come to the host over the machine's events port."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Sequence

from lab.drivers.build import DriverBuild
from lab.drivers.event import Counters, Event
from lab.drivers.manifest import Mode
from lab.errors import ConsumerError, LoadError
from lab.images.cpio import CpioFile
from lab.machines.machine import PAYLOAD, Machine

_LOG_LINES = 8
_BY_SIGNAL = 128  # as shells say it
_LOAD_DEADLINE = 20.0
_STOP_DEADLINE = 10.0
_PORT = "/dev/virtio-ports/lab.events"
_SAID = f"{PAYLOAD}/consumer.said"
_PID = f"{PAYLOAD}/consumer.pid"
# The consumer's own shell: it writes the consumer's number down, and at its end how it ended, behind what it said.
# $1 is the pid file, $2 standard error's file, $3 the port, the rest the command. env: what a shell starts with & would
# ignore SIGINT, by which a consumer is ended.
# Nothing of the channel that started it stays with it: that would stay open, or end this shell by SIGPIPE.
_START = """
exec >/dev/null 2>&1 </dev/null
pid=$1 said=$2 port=$3
shift 3
env --default-signal=INT "$@" >"$port" 2>"$said" &
echo $! >"$pid"
wait $!
echo "lab: ended with status $?" >>"$said"
"""
# Its status is written a moment after it is gone.
_FAULT = """
[ -e "/proc/$(cat "$1")/exe" ] && exit
for try in 1 2 3 4 5 6 7 8 9 10; do grep -q "^lab: ended with" "$2" && break; sleep 0.05; done
echo gone; cat "$2"
"""
_ENDED = re.compile(r"^lab: ended with status (\d+)$", re.MULTILINE)


def driver_payload(build: DriverBuild, sentinel: bytes) -> dict[str, CpioFile]:
    """What a machine must be given at its boot, so that the driver can be deployed in it."""
    module = {f"driver/{build.module.name}": CpioFile(build.module.read_bytes())} if build.module else {}
    return {**module, "bin/lab-sentinel": CpioFile(sentinel, 0o755)}


def how_started() -> str:
    """What starts a consumer in the guest, for the keys of machines that are saved with one running."""
    return "\0".join((_START, _PID, _SAID, _PORT))


class Deployment:
    """A driver in one machine. Made by `deploy` or `resume`; gone with the machine."""

    def __init__(self, machine: Machine, build: DriverBuild, *, consuming: bool = False) -> None:
        self.machine = machine
        self.build = build
        self.adapter = build.driver.adapter()
        self._consuming = consuming

    @property
    def mode(self) -> Mode:
        return self.build.driver.mode

    def load(self) -> None:
        """Load the driver and check that it is there; LoadError quotes the command and the kernel's last lines."""
        for command in (*self.mode.load, *self.mode.check):
            self._demand(command, "does not load")

    def unload(self) -> None:
        """Unload the driver, its consumer stopped first; LoadError as in `load`."""
        self.stop_consumer()
        for command in self.mode.unload:
            self._demand(command, "cannot be unloaded")

    def loaded(self) -> bool:
        """Whether the kernel lists the module; of a driver without one, whether its checks succeed."""
        if not self.mode.module:
            return all(self.machine.run(command, check=False).status == 0 for command in self.mode.check)
        return self.machine.run(["test", "-d", f"/sys/module/{self.mode.module}"], check=False).status == 0

    def start_consumer(self) -> None:
        """Start the consumer unless it runs; it is ready only when a sentinel of the lab's has come through."""
        if self._consuming:
            return
        command = self._filled(self.mode.consumer.command)
        start = ["setsid", "-f", "sh", "-c", _START, "sh", _PID, _SAID, _PORT, *command]
        self.machine.run(start)
        self._consuming = True

    def stop_consumer(self) -> Counters | None:
        """Stop the consumer and return what it says the driver counted; None when it ran not or did not say."""
        if not self._consuming:
            return None
        self._consuming = False
        wait = f'pid=$(cat {_PID}) && kill -INT "$pid" && while [ -e "/proc/$pid" ]; do sleep 0.05; done; cat {_SAID}'
        result = self.machine.run(["sh", "-c", wait], check=False, deadline=_STOP_DEADLINE)
        return self.adapter.counters(result.stdout)

    def consumer_fault(self) -> str:
        """Why the consumer no longer runs, in its own words; empty while it does."""
        said = self.machine.run(["sh", "-c", _FAULT, "sh", _PID, _SAID], check=False).text
        return how_it_ended(said.removeprefix("gone\n")) if said.startswith("gone") else ""

    def event(self, line: bytes) -> Event | None:
        """The event in a line of the consumer's; ConsumerError when the adapter cannot read it."""
        try:
            return self.adapter.event(line)
        except Exception as error:  # whatever an adapter raises: a guest decides what it reads
            raise ConsumerError(
                f"the adapter of {self.build.driver.name} cannot read {line[:200]!r}: {error}",
                hint="the consumer and its adapter do not fit: look at both in the driver's folder",
            ) from error

    def emit_sentinels(self, prefix: str) -> list[int]:
        """Make one event on every CPU that asks for PREFIX/CPU; returns the CPUs."""
        done = self.machine.run([f"{PAYLOAD}/bin/lab-sentinel", prefix])
        return [int(word) for word in done.stdout.split()]

    def _demand(self, command: Sequence[str], what: str) -> None:
        argv = self._filled(command)
        result = self.machine.run(argv, check=False, deadline=_LOAD_DEADLINE)
        if result.status == 0:
            return
        said = (result.stdout + result.stderr).decode(errors="replace").strip()
        log = self.machine.run(["dmesg"], check=False).text.splitlines()[-_LOG_LINES:]
        lines = "\n".join(f"  {line}" for line in log)
        raise LoadError(
            f"{self.build.driver.name} {what} on {self.machine.spec.arch.name}: {shlex.join(argv)} ended with status "
            f"{result.status}: {said}\nThe kernel's last lines:\n{lines}"
        )

    def _filled(self, command: Sequence[str]) -> list[str]:
        if self.build.module is None:
            return list(command)
        place = f"{PAYLOAD}/driver/{self.build.module.name}"
        return [word.replace("{module}", place) for word in command]


def how_it_ended(said: str) -> str:
    """A consumer's last words, and its status or the signal that ended it."""
    ended = _ENDED.search(said)
    status = int(ended[1]) if ended else -1
    words = _ENDED.sub("", said).strip() or "it said nothing"
    if status - _BY_SIGNAL in signal.valid_signals():
        return f"signal {status - _BY_SIGNAL} ({signal.strsignal(status - _BY_SIGNAL)}): {words}"
    return f"status {status}: {words}" if status >= 0 else words


def deploy(machine: Machine, build: DriverBuild) -> Deployment:
    """Load the driver in a machine that was booted with `driver_payload(build, ...)`."""
    deployment = Deployment(machine, build)
    deployment.load()
    return deployment


def resume(machine: Machine, build: DriverBuild) -> Deployment:
    """The deployment that a fork was saved with: the driver is loaded and its consumer runs."""
    return Deployment(machine, build, consuming=True)
