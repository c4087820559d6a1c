"""What is done to a driver and its consumer against their will: killed, loaded twice, taken out while it is read."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from lab.drivers.deploy import Deployment, filled
from lab.errors import ConsumerError, UnsupportedError
from lab.evidence.faults import KERNEL

_PORT = "/dev/virtio-ports/lab.events"
_DEADLINE = 10.0  # seconds on hardware
_AGAIN = 30.0  # for what a second consumer may still need to be ended
# $1 is a mark, $2 where it is to be written, the rest processes. A consumer dies in the middle of a line, which must
# not be the beginning of the next one's first.
_KILL = """
mark=$1 port=$2
shift 2
[ $# -eq 0 ] || kill -KILL "$@" 2>/dev/null  # who has ended meanwhile is dead enough
for pid; do
	while [ -e "/proc/$pid" ]; do sleep 0.02; done
done
printf '\\n%s\\n' "$mark" >"$port"
"""
# $1 is what it is looked for by, $2 how long (tenths of a second), the rest its command. env: as lab/drivers/deploy.py.
# What looks makes events for both consumers: one that takes minutes to start is looked for seldom.
_SECOND = """
mark=$1 limit=$2 looks=0
shift 2
cd /tmp || exit
env --default-signal=INT "$@" >second.out 2>second.err &
pid=$!
while [ -e "/proc/$pid/exe" ] && [ "$limit" -gt 0 ]; do
	cat "/work/$mark" 2>/dev/null
	grep -qF "$mark" second.out && echo reports && break
	[ $((looks += 1)) -le 50 ] && tenths=1 || tenths=20
	limit=$((limit - tenths))
	sleep "$((tenths / 10)).$((tenths % 10))"
done
kill -INT "$pid" 2>/dev/null
wait "$pid"
echo "status $?"
grep -v '^[[:space:]]*$' second.err | tail -c 2000
rm -f second.out second.err
"""
_NO_FAULTS = 99
# $1 is which allocation fails of those that the command makes from its exec on, page by page too; the rest the command.
_FAILING = f"""
[ -e /proc/self/fail-nth ] || exit {_NO_FAULTS}
for kind in failslab fail_page_alloc; do
	cd "/sys/kernel/debug/$kind" || exit {_NO_FAULTS}
	echo N >ignore-gfp-wait && echo 0 >verbose || exit {_NO_FAULTS}
done
[ -e ignore-gfp-highmem ] && echo N >ignore-gfp-highmem
[ -e min-order ] && echo 0 >min-order
nth=$1
shift
echo "$nth" >/proc/self/fail-nth && exec "$@"
"""
_REFERENCES = 'cat "/sys/module/$1/refcnt" && exec rmmod "$1"'


@dataclass(frozen=True)
class Came:
    """What came of it: a command's `status`, and what it `said`."""

    status: int
    said: str


@dataclass(frozen=True)
class Second:
    """A second consumer: whether it `reports` events, else the `status` with which it ended and what it `said`."""

    reports: bool
    status: int
    said: str


class Provoked:
    """The `provoke` fixture."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._machine = deployment.machine

    def kill_consumer(self) -> None:
        """Kill the consumer's processes, which can undo nothing; what they had printed has come when this returns."""
        lines = self._machine.events
        start, mark = lines.count(), f"lab-killed-{secrets.token_hex(4)}"
        processes = [str(number) for number in self._deployment.processes()]
        self._machine.run(["sh", "-c", _KILL, "sh", mark, _PORT, *processes], deadline=_DEADLINE)
        self._deployment.consumer_gone()
        wanted = mark.encode()
        if not lines.wait(lambda: wanted in lines.since(start), self._machine.scaled(_DEADLINE)):
            raise ConsumerError("what the killed consumer had printed did not come to the host")

    def second_consumer(self) -> Second:
        """Start another consumer beside the one that runs, until it reports, ends, or its time is over; then end it."""
        consumer = self._deployment.consumer
        mark = f"second-{secrets.token_hex(4)}"
        seconds = self._machine.scaled(consumer.starts_within)
        command = filled(self._deployment.build, consumer.command)
        done = self._machine.run(
            ["sh", "-c", _SECOND, "sh", mark, str(int(seconds * 10)), *command],
            deadline=consumer.starts_within * 2 + _AGAIN,
        )
        lines = done.text.splitlines()
        reports = lines[:1] == ["reports"]
        ended = lines[1:] if reports else lines
        status = int(ended[0].removeprefix("status ")) if ended else -1
        return Second(reports, status, "\n".join(ended[1:]))

    def load_again(self) -> Came:
        """Load the module once more, though it is there. UnsupportedError for a driver that is none."""
        self._demand_module()
        argv = filled(self._deployment.build, self._deployment.mode.load[0])
        done = self._machine.run(argv, check=False)
        return Came(done.status, (done.stdout + done.stderr).decode(errors="replace").strip())

    def load_failing(self, nth: int) -> Came:
        """Load the module while the nth allocation that this needs fails, and take it out again if it was loaded all
        the same. UnsupportedError where none can."""
        self._demand_module()
        argv = filled(self._deployment.build, self._deployment.mode.load[0])
        done = self._machine.run(["sh", "-c", _FAILING, "sh", str(nth), *argv], check=False, deadline=_DEADLINE)
        if done.status == _NO_FAULTS:
            raise UnsupportedError(f"the kernel lets no allocation fail; {KERNEL} does", hint=f"--kernel {KERNEL}")
        if not done.status:
            self._deployment.unload()
        return Came(done.status, (done.stdout + done.stderr).decode(errors="replace").strip())

    def unload_now(self) -> Came:
        """Take the module out, once, whatever holds it; what it `said` begins with its reference count."""
        module = self._demand_module()
        done = self._machine.run(["sh", "-c", _REFERENCES, "sh", module], check=False)
        return Came(done.status, (done.stdout + done.stderr).decode(errors="replace").strip())

    def _demand_module(self) -> str:
        module = self._deployment.mode.module
        if not module:
            raise UnsupportedError(f"{self._deployment.build.driver.name} is no kernel module")
        return module
