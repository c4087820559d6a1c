"""trinity, Debian's fuzzer of system calls, in a guest: put there when it is asked for, run as nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.arches import Arch
from lab.errors import LabError
from lab.images.roots import tool_root
from lab.machines.machine import Machine
from lab.settings import Settings
from lab.store import Store

PACKAGE, SUITE = "trinity", "forky"  # the guests' own suite, whose C library it is linked with
_PROGRAM = "usr/bin/trinity"
_PLACE = "/run/lab/trinity"
_NOBODY = "65534"
_MORE = 20.0  # seconds on hardware, over those that it is given
_RAN = re.compile(r"Ran (\d{1,12}) syscalls\. Successes: (\d{1,12})\s+Failures: (\d{1,12})")
# $1 is the cgroup, $2 the seconds, the rest the command. It makes files where it is; its mounts go with it, and who is
# left of it is killed.
_RUN = """
group=$1 seconds=$2
shift 2
mkdir -p /work/trinity && chmod 777 /work/trinity && cd /work/trinity || exit
(
	echo 0 >"$group/cgroup.procs" && exec timeout -s INT -k 5 "$seconds" unshare -m -i \
		setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups -- "$@"
) >said 2>&1 </dev/null
while [ -s "$group/cgroup.procs" ] && read -r pid <"$group/cgroup.procs"; do kill -KILL "$pid"; done 2>/dev/null
tail -c 20000 said
cd / && rm -rf /work/trinity
"""


@dataclass(frozen=True)
class Ran:
    """How many calls it made, and how many of them succeeded and failed."""

    calls: int
    succeeded: int
    failed: int


class Trinity:
    """The `trinity` fixture. `program()` fetches it for the guest's architecture."""

    def __init__(self, machine: Machine, program: Callable[[], Path]) -> None:
        self._machine = machine
        self._program = program

    def run(self, seed: int, calls: int, group: str, seconds: float = 10.0) -> Ran:
        """Let it make so many calls from that seed in that cgroup, or fewer in that time (on hardware)."""
        if self._machine.run(["test", "-x", _PLACE], check=False).status != 0:
            self._machine.put(_PLACE, self._program())
            self._machine.run(["chmod", "755", _PLACE])
        command = [_PLACE, "-q", "-l", "off", "-C", "4", "-N", str(calls), "-s", str(seed)]
        of_guest = f"{self._machine.scaled(seconds):.0f}"
        argv = ["env", f"NOBODY={_NOBODY}", "sh", "-c", _RUN, "sh", group, of_guest, *command]
        return read_said(self._machine.run(argv, deadline=seconds + _MORE).text)


def read_said(said: str) -> Ran:
    """What trinity says at its end; LabError when it does not say so."""
    found = _RAN.findall(said)
    if not found:
        raise LabError(f"trinity did not run: {said.strip()[-500:]}", hint="lab shell has the same guest")
    return Ran(*(int(word) for word in found[-1]))


def program(arch: Arch, store: Store, settings: Settings, notice: Callable[[str], None]) -> Path:
    """The program for guests of that architecture, out of Debian's package."""
    return tool_root(PACKAGE, SUITE, arch, store, settings, notice) / _PROGRAM
