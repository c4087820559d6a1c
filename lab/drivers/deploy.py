"""A driver loaded in a machine, and its consumer, whose lines come to the host over the machine's events port."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from lab.drivers.build import DriverBuild
from lab.drivers.event import Counters, Event
from lab.drivers.loadlog import LoadLog
from lab.drivers.manifest import Adapter, DriverMode
from lab.drivers.marks import Stream, mark_until_seen
from lab.drivers.schema import Consumer, Mode
from lab.drivers.words import how_it_ended, trimmed
from lab.errors import CommandTimeoutError, ConsumerError, LoadError, MachineLostError
from lab.images.cpio import CpioFile
from lab.machines.machine import PAYLOAD, Machine

_LOAD_DEADLINE = 20.0
_STOP_DEADLINE = 10.0
_PORT = "/dev/virtio-ports/lab.events"
_SAID = f"{PAYLOAD}/consumer.said"
_PID = f"{PAYLOAD}/consumer.pid"
_BIN = f"{PAYLOAD}/bin"
_SENTINEL, _CONSUMER, _CLOCK = "lab-sentinel", "lab-consumer", "lab-clock"
_PROGRAMS = frozenset({"program", "artifact"})
_NOT_LOADED = "mend the driver, or `load` and `check` in its driver.toml; a scenario's bundle has the whole kernel log"
_NOT_UNLOADED = "mend the driver, which something holds or which never lets go, or `unload` in its driver.toml"
_NO_END = "it must end on SIGINT: correct `consumer.command` in driver.toml (behind a shell, `exec` the program)"
_NO_COUNTERS = "it must print them on standard error, in whole lines: correct `consumer.counters` in driver.toml"
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
# The consumer, and what it started; nobody when it has ended.
_PROCESSES = """
pid=$(cat "$1") || exit
children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) || [ ! -e "/proc/$pid" ] || exit
[ ! -e "/proc/$pid" ] || echo "$pid" "$children"
"""


def own_programs(driver: DriverMode) -> tuple[str, ...]:
    """The lab's own programs (images/programs) that a machine with this driver has."""
    return (_SENTINEL, _CONSUMER, *((_CLOCK,) if keeps_boot_time(driver) else ()))


def driver_payload(build: DriverBuild, programs: Mapping[str, bytes]) -> dict[str, CpioFile]:
    """What a machine must be given at its boot, so that the driver can be deployed in it: `programs` are the lab's
    own, by their names."""
    files = {
        f"driver/{_name_of(build, word)}": CpioFile(path.read_bytes(), 0o755 if word in _PROGRAMS else 0o644)
        for word, path in build.files.items()
    }
    return files | {f"bin/{name}": CpioFile(program, 0o755) for name, program in programs.items()}


def keeps_boot_time(driver: DriverMode) -> bool:
    """Whether its consumer's time stamps are off when the clock is set after it was started."""
    return not driver.mute and driver.consumer.clock == "boot"


def how_started() -> str:
    """What starts a consumer in the guest, for the keys of machines that are saved with one running."""
    return "\0".join((_START, _PID, _SAID, _PORT))


class Deployment:
    """A driver in one machine. Made by `deploy` or `resume`; gone with the machine."""

    def __init__(self, machine: Machine, build: DriverBuild, *, consuming: bool = False, shift: int = 0) -> None:
        """`shift` (nanoseconds) is how far the guest's clock was moved since its running consumer was started."""
        self.machine = machine
        self.build = build
        # The sentinels that were made here. A guest's programs can open any path, and hide behind none of these.
        self.prefixes: set[str] = set()
        self._consuming = consuming
        self._shift = shift

    @property
    def mode(self) -> Mode:
        return self.build.driver.mode

    @property
    def consumer(self) -> Consumer:
        """What prints the driver's events; UnsupportedError when nothing can."""
        return self.build.driver.consumer

    @cached_property
    def adapter(self) -> Adapter:
        """This deployment's own: adapters may keep what they read."""
        return self.build.driver.adapter()

    def load(self) -> None:
        """Load the driver and check that it is there; LoadError quotes the command and the kernel's last lines.

        Where the consumer loads it, it is there when the consumer reports every CPU's events. MachineLostError names
        the driver when the guest dies of it.
        """
        with self._blaming("does not load", _NOT_LOADED):
            for command in (*self.mode.load, *self.mode.check):
                self._demand(command)
            if self.mode.loads_itself:
                self.begin()

    def unload(self) -> None:
        """Unload the driver, its consumer stopped first; errors as in `load`."""
        self.stop_consumer()
        with self._blaming("cannot be unloaded", _NOT_UNLOADED):
            for command in self.mode.unload:
                self._demand(command)

    def loaded(self) -> bool:
        """Whether the kernel lists the module; of a driver without one, whether its checks succeed; of one that its
        consumer loads, whether that runs."""
        if self.mode.module:
            return self.machine.run(["test", "-d", f"/sys/module/{self.mode.module}"], check=False).status == 0
        if self.mode.loads_itself:
            return self._consuming and not self.consumer_fault()
        return all(self.machine.run(self._filled(command), check=False).status == 0 for command in self.mode.check)

    def begin(self) -> None:
        """Start the consumer and wait until it reports every CPU's events; ConsumerError when it does not."""
        stream = Stream(self, self.consumer.order, start=self.machine.events.count())
        self.start_consumer()
        mark_until_seen(stream, f"/lab-{secrets.token_hex(4)}-first")

    def start_consumer(self) -> None:
        """Start the consumer unless it runs; it is ready only when a sentinel of the lab's has come through."""
        if self._consuming:
            return
        command = self._filled(self.consumer.command)
        self.machine.run(["setsid", "-f", "sh", "-c", _START, "sh", _PID, _SAID, _PORT, *command])
        self._consuming, self._shift = True, 0

    def stop_consumer(self) -> Counters | None:
        """Stop the consumer and return what it says the driver counted; None when it ran not or did not say."""
        if not self._consuming:
            return None
        self._consuming = False
        return self.adapter.counters(self._ask("stop", "did not end when it was interrupted", _NO_END))

    def consumer_gone(self) -> None:
        """Whoever killed the consumer says so: the next one is started anew."""
        self._consuming = False

    def counters(self) -> Counters | None:
        """What the driver has counted until now, where its consumer can tell and go on; None where it cannot."""
        if self.consumer.counters == "at-end":
            return None
        return self.adapter.counters(self._ask("tell", "did not tell the driver's counters on SIGUSR1", _NO_COUNTERS))

    def final_counters(self, before: Counters | None) -> Counters | None:
        """What the driver counted since `before`; of a consumer that tells at its end only, since its start, and then
        it has ended."""
        if self.consumer.counters == "at-end":
            return self.stop_consumer()
        now = self.counters()
        if now is None or before is None:
            return None
        return Counters(now.events - before.events, now.drops - before.drops)

    def consumer_fault(self) -> str:
        """Why the consumer no longer runs, in its own words; empty while it does."""
        said = self.machine.run([f"{_BIN}/{_CONSUMER}", "fault", _PID, _SAID], check=False).text
        return how_it_ended(said.removeprefix("gone\n")) if said.startswith("gone") else ""

    def processes(self) -> list[int]:
        """The processes of the consumer's that run: what an attacker on the guest would go for."""
        return [int(word) for word in self.machine.run(["sh", "-c", _PROCESSES, "sh", _PID]).stdout.split()]

    def clock(self) -> int:
        """How far the guest's clock is ahead of its time since boot, in nanoseconds."""
        return int(self.machine.run([f"{_BIN}/{_CLOCK}"]).stdout)

    def event(self, line: bytes) -> Event | None:
        """The event in a line of the consumer's; ConsumerError when the adapter cannot read it."""
        try:
            event = self.adapter.event(line)
        except Exception as error:  # whatever an adapter raises: a guest decides what it reads
            raise ConsumerError(
                f"the adapter of {self.build.driver.name} cannot read {line[:200]!r}: {error}",
                hint="the consumer and its adapter do not fit: look at both in the driver's folder",
            ) from error
        return dataclasses.replace(event, ts=event.ts + self._shift) if event and self._shift else event

    def emit_sentinels(self, prefix: str) -> list[int]:
        """Make one event on every CPU that asks for PREFIX/CPU; returns the CPUs."""
        self.prefixes.add(prefix)
        done = self.machine.run([f"{_BIN}/{_SENTINEL}", prefix])
        return [int(word) for word in done.stdout.split()]

    @contextlib.contextmanager
    def _blaming(self, what: str, hint: str) -> Iterator[None]:
        """Make what fails in the block an error that says that the driver `what`, and what the kernel said."""
        log = LoadLog(self.machine)
        blamed = f"{self.build.driver.name} {what} on {self.machine.spec.arch.name}"
        try:
            yield
        except (LoadError, ConsumerError, CommandTimeoutError) as error:
            raise LoadError(f"{blamed}: {error.what}{log.said()}", hint=error.hint or hint) from error
        except MachineLostError as error:
            raise MachineLostError(f"{blamed}: {error.what}", hint=error.hint or hint) from error

    def _demand(self, command: Sequence[str]) -> None:
        argv = self._filled(command)
        result = self.machine.run(argv, check=False, deadline=_LOAD_DEADLINE)
        if result.status != 0:
            said = trimmed((result.stdout + result.stderr).decode(errors="replace"))
            raise LoadError(f"{shlex.join(argv)} {result.ended}" + (f": {said}" if said else ""))

    def _ask(self, what: str, fault: str, hint: str) -> bytes:
        try:
            argv = [f"{_BIN}/{_CONSUMER}", what, _PID, _SAID]
            return self.machine.run(argv, check=False, deadline=_STOP_DEADLINE).stdout
        except CommandTimeoutError as error:
            within = f"within {self.machine.scaled(_STOP_DEADLINE):.0f} s"
            raise ConsumerError(f"the consumer of {self.build.driver.name} {fault} {within}", hint=hint) from error

    def _filled(self, command: Sequence[str]) -> list[str]:
        return filled(self.build, command)


def filled(build: DriverBuild, command: Sequence[str]) -> list[str]:
    """A command of the manifest's, the driver's files in it by their paths in the guest."""
    places = {f"{{{word}}}": f"{PAYLOAD}/driver/{_name_of(build, word)}" for word in build.files}
    words = list(command)
    for place, path in places.items():
        words = [word.replace(place, path) for word in words]
    return words


def _name_of(build: DriverBuild, word: str) -> str:
    """A file's name in the guest. Processes are known by it: a program is called as what it is."""
    return build.driver.manifest.name if word == "program" else build.files[word].name


def deploy(machine: Machine, build: DriverBuild) -> Deployment:
    """Load the driver in a machine that was booted with `driver_payload(build, ...)`."""
    deployment = Deployment(machine, build)
    deployment.load()
    return deployment


def resume(machine: Machine, build: DriverBuild, clock: int | None = None) -> Deployment:
    """The deployment that a fork was saved with: the driver is loaded and its consumer runs, if it has any.

    `clock` is what `Deployment.clock` was when the consumer was started.
    """
    deployment = Deployment(machine, build)
    shift = deployment.clock() - clock if clock is not None else 0
    return Deployment(machine, build, consuming=not build.driver.mute, shift=shift)
