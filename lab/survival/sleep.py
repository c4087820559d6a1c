"""A guest that sleeps and is woken from outside: it can neither be asked nor tell while it does."""

from __future__ import annotations

import time

from lab import arches
from lab.machines.machine import Machine

# QEMU wakes a machine that suspended to memory. From s2idle, where it only does nothing, an interrupt must wake it that
# its kernel lets through: the clock's alarm and the power button were tried on 6.12, and it slept on.
_WAKES = {"deep": "system_wakeup"}
_ASLEEP, _AWAKE = b"Suspending console(s)", b"PM: suspend exit"
_DEADLINE = 20.0  # seconds on hardware, to fall asleep and to wake up
_AGAIN = 0.5
_SAID = "/run/lab/slept"
_SUSPEND = """
exec >"$2.part" 2>&1 </dev/null
grep -qw "$1" /sys/power/mem_sleep || { echo "it knows $(cat /sys/power/mem_sleep)"; mv "$2.part" "$2"; exit; }
count() { grep -s "^success" /sys/kernel/debug/suspend_stats | tr -dc 0-9 || cat /sys/power/suspend_stats/success; }
before=$(count)
echo "$1" >/sys/power/mem_sleep && grep -qF "[$1]" /sys/power/mem_sleep &&
	echo mem >/sys/power/state && echo "slept $(($(count) - before))"
mv "$2.part" "$2"
"""
_RESULT = 'while [ ! -e "$1" ]; do sleep 0.1; done; cat "$1"; rm "$1"'


def slept(machine: Machine, how: str) -> str:
    """Let the guest sleep and wake it; "slept 1", or why it did not."""
    if machine.spec.arch != arches.AMD64 or how not in _WAKES:
        return f"nothing wakes this machine of {machine.spec.arch.name}"
    start = len(machine.console.read())
    machine.run(["setsid", "-f", "sh", "-c", _SUSPEND, "sh", how, _SAID])
    _wait(machine, start, _ASLEEP, again=None)
    _wait(machine, start, _AWAKE, again=_WAKES[how])
    return machine.run(["sh", "-c", _RESULT, "sh", _SAID]).text.strip()


def _wait(machine: Machine, start: int, wanted: bytes, *, again: str | None) -> None:
    """Wait until the console said so, or for long enough; tell QEMU `again` and again what wakes it."""
    end = time.monotonic() + machine.scaled(_DEADLINE)
    known = start
    while wanted not in machine.console.read()[start:] and time.monotonic() < end and machine.alive():
        if again:
            machine.monitor.execute("human-monitor-command", {"command-line": again})
        machine.console.wait_past(known, machine.scaled(_AGAIN))
        known = len(machine.console.read())
