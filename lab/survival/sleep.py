"""A guest that sleeps and is woken from outside: it can neither be asked nor tell while it does."""

from __future__ import annotations

import contextlib
import time

from lab import arches
from lab.errors import MachineLostError
from lab.machines.machine import Machine

# QEMU wakes a machine that suspended to memory. From s2idle, where it only does nothing, an interrupt must wake it that
# its kernel lets through: the clock's alarm and the power button were tried on 6.12, and it slept on.
_WAKES = {"deep": "system_wakeup"}
_ASLEEP, _AWAKE = b"Suspending console(s)", b"PM: suspend exit"
# What the guest says there itself.
_DONE, _CUT_OFF = "lab: the sleep is over", "lab: the host is cut off"
_DEADLINE = 20.0  # seconds on hardware, to fall asleep and to wake up
_AGAIN = 0.5
_SAID = "/run/lab/slept"
# The ports of 7.3's virtio console, by which the host speaks with the guest, stay closed when it wakes (QEMU 10.0.13,
# without a driver too; not so on 7.2), until it is bound anew and another agent opens them.
_SUSPEND = """
exec >"$2" 2>&1 </dev/null
closed() { grep -qs "^host_connected: 0" /sys/kernel/debug/virtio-ports/*p1; }
count() { grep -s "^success" /sys/kernel/debug/suspend_stats | tr -dc 0-9 || cat /sys/power/suspend_stats/success; }
if grep -qw "$1" /sys/power/mem_sleep; then
	before=$(count)
	echo "$1" >/sys/power/mem_sleep && grep -qF "[$1]" /sys/power/mem_sleep &&
		echo mem >/sys/power/state && echo "slept $(($(count) - before))"
	for try in 1 2 3 4 5 6 7 8 9 10; do closed || break; sleep 0.5; done
	closed && echo "$4" >/dev/console &&
		cd /sys/bus/virtio/drivers/virtio_console && for device in virtio*; do
			echo "$device" >unbind && echo "$device" >bind
		done
else
	echo "it knows $(cat /sys/power/mem_sleep)"
fi
echo "$3" >/dev/console
"""


def slept(machine: Machine, how: str) -> str:
    """Let the guest sleep and wake it; "slept 1", or why it did not."""
    if machine.spec.arch != arches.AMD64 or how not in _WAKES:
        return f"nothing wakes this machine of {machine.spec.arch.name}"
    start = len(machine.console.read())
    machine.run(["setsid", "-f", "sh", "-c", _SUSPEND, "sh", how, _SAID, _DONE, _CUT_OFF])
    _wait(machine, start, _ASLEEP, again=None)
    _wait(machine, start, _AWAKE, again=_WAKES[how])
    _wait(machine, start, _DONE.encode(), again=None)
    if _CUT_OFF.encode() in machine.console.read()[start:]:
        # What is asked first is lost with the old agent, or answered by the new one.
        with contextlib.suppress(MachineLostError):
            machine.run(["true"], check=False)
        return "the virtio console, by which the lab speaks with it, stays closed when it wakes"
    return machine.run(["cat", _SAID]).text.strip()


def _wait(machine: Machine, start: int, wanted: bytes, *, again: str | None) -> None:
    """Wait until the console said so, or that all is over, or for long enough; tell QEMU `again` and again what wakes
    it."""
    end = time.monotonic() + machine.scaled(_DEADLINE)
    known = start
    while time.monotonic() < end and machine.alive():
        printed = machine.console.read()[start:]
        if wanted in printed or _DONE.encode() in printed:
            return
        if again:
            machine.monitor.execute("human-monitor-command", {"command-line": again})
        machine.console.wait_past(known, machine.scaled(_AGAIN))
        known = len(machine.console.read())
