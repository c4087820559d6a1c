"""Conditions of a guest: each is set, then read back. One that does not hold makes the scenario unsupported.

What stands here is the guest's own words (sysfs, procfs, debugfs): scripts that print what holds at their end.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.survival.sleep import slept

_DEADLINE = 20.0  # seconds on hardware; a CPU that goes takes its time
# A guest that has no such model refuses the write: what it says then is what it has.
_PREEMPT = 'cd /sys/kernel/debug/sched && echo "$1" >preempt; cat preempt'
_CPUS = "cat /sys/devices/system/cpu/online"
_CPU = '[ "$(cat "$1/online")" = "$2" ] || echo "$2" >"$1/online"; cat "$1/online"'
# securityfs is mounted by nobody else in these guests.
_LOCKDOWN = """
[ -e /sys/kernel/security/lockdown ] || mount -t securityfs securityfs /sys/kernel/security || exit
echo "$1" >/sys/kernel/security/lockdown
cat /sys/kernel/security/lockdown
"""
# Lazily: what is open below it stays open, and no path leads there any more. debugfs mounts it again by itself.
_NO_TRACEFS = """
for place in /sys/kernel/debug/tracing /sys/kernel/debug /sys/kernel/tracing; do
	umount -l "$place" 2>/dev/null
done
grep -E " (tracefs|debugfs) " /proc/mounts
for place in /sys/kernel/tracing /sys/kernel/debug; do ls -A "$place"; done
"""
_CLOCK = 'before=$(date +%s); date -s "@$((before - $1))" >/dev/null || exit; echo "$before $(date +%s)"'
_CGROUP = """
cd /sys/fs/cgroup || exit
for word in pids memory; do grep -qw "$word" cgroup.controllers && echo "+$word" >cgroup.subtree_control; done
mkdir -p "$1" && cd "$1" || exit
echo "$2" >pids.max || exit
[ "$3" = 0 ] || { echo "$3" >memory.max && echo 0 >memory.swap.max; } 2>/dev/null
printf '%s %s\\n' "$(cat pids.max)" "$(cat memory.max 2>/dev/null || echo max)"
"""
_CGROUPS = "/sys/fs/cgroup"
_CHECKED = "grep -qw kasan_report /proc/kallsyms && echo checked"
# Without them a guest refuses threads that its memory has room for.
_THREADS = """
echo "$1" >/proc/sys/kernel/threads-max && echo "$1" >/proc/sys/kernel/pid_max
cat /proc/sys/kernel/threads-max /proc/sys/kernel/pid_max
"""


class Conditions:
    """The `conditions` fixture. Every method reads back what it set; UnsupportedError says what did not hold."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def preemption(self, model: str) -> str:
        """Have the kernel be preempted as `model` says (none, voluntary, full, lazy); returns all that it knows.

        Only kernels with PREEMPT_DYNAMIC can be told.
        """
        known = self._said(_PREEMPT, model).split()
        if f"({model})" not in known:
            what = f"it has {' '.join(known)}" if known else "it cannot be told (no PREEMPT_DYNAMIC)"
            raise UnsupportedError(f"the kernel is not preempted as {model}: {what}")
        return " ".join(known)

    def cpus(self) -> str:
        """The CPUs that are on, as the kernel writes them: "0-1"."""
        return self._said(_CPUS).strip()

    def cpu(self, number: int, *, on: bool) -> str:
        """Take that CPU off, or put it on; returns the CPUs that are on."""
        place = f"/sys/devices/system/cpu/cpu{number}"
        if self._said(_CPU, place, str(int(on))).strip() != str(int(on)):
            raise UnsupportedError(f"CPU {number} cannot be turned {'on' if on else 'off'} on this machine")
        return self.cpus()

    def lockdown(self, level: str) -> str:
        """Lock the kernel down (integrity, confidentiality), for good; returns what it says of itself."""
        said = self._said(_LOCKDOWN, level).strip()
        if f"[{level}]" not in said:
            raise UnsupportedError(f"the kernel is not locked down ({level}): {said or 'it has no such module'}")
        return said

    def without_tracefs(self) -> None:
        """Leave no tracefs and no debugfs in the guest's file system."""
        left = self._said(_NO_TRACEFS).strip()
        if left:
            raise UnsupportedError(f"tracefs is still there: {left.splitlines()[0]}")

    def clock_back(self, seconds: int) -> int:
        """Set the guest's clock back; returns the time that it shows then (seconds since 1970)."""
        words = self._said(_CLOCK, str(seconds)).split()
        if len(words) != 2 or not abs(int(words[0]) - seconds - int(words[1])) <= 5:
            raise UnsupportedError("the guest's clock cannot be set back")
        return int(words[1])

    def suspend(self, how: str) -> None:
        """Let the guest sleep (a word of /sys/power/mem_sleep) and wake it from outside."""
        said = slept(self._machine, how)
        if said != "slept 1":
            raise UnsupportedError(f"the guest does not sleep ({how}): {said}")

    def cgroup(self, name: str, *, pids: int, memory_mib: int = 0) -> str:
        """Make a cgroup that bounds tasks, and memory where the kernel can; returns its folder in the guest."""
        said = self._said(_CGROUP, name, str(pids), str(memory_mib << 20)).split()
        wanted = [str(pids), str(memory_mib << 20) if memory_mib else "max"]
        if said != wanted:
            raise UnsupportedError(f"no cgroup bounds tasks and memory here: {' '.join(said) or 'there is no cgroup2'}")
        return f"{_CGROUPS}/{name}"

    def checked_memory(self) -> None:
        """The kernel checks each access of memory (KASAN)."""
        if self._said(_CHECKED).strip() != "checked":
            raise UnsupportedError("the kernel has no KASAN; build:6.12+kasan has it", hint="--kernel build:6.12+kasan")

    def allow_tasks(self, count: int) -> None:
        """Let there be that many tasks at once."""
        said = self._said(_THREADS, str(count)).split()
        if said != [str(count)] * 2:
            raise UnsupportedError(f"the guest does not allow {count} tasks: {' '.join(said)}")

    def _said(self, script: str, *words: str, deadline: float = _DEADLINE) -> str:
        argv: Sequence[str] = ["sh", "-c", script, "sh", *words]
        return self._machine.run(argv, check=False, deadline=deadline).text
