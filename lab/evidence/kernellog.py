"""A machine's kernel log: /dev/kmsg while the guest can read it, and its console, which also has what came after."""

from __future__ import annotations

from collections.abc import Callable

from lab.evidence.printk import Record, merged, parse_console, parse_kmsg
from lab.evidence.splats import Splat, find_splats, unexpected
from lab.evidence.taint import read_taint, taint_splat
from lab.machines.machine import Machine
from lab.machines.result import Result

# Non-blocking: /dev/kmsg otherwise waits for the next record. Each block is one record; a kernel that talks without end
# is read no further than this.
_READ = "dd iflag=nonblock bs=8192 count=65536 status=none"
# A reader that was overtaken by the kernel's ring gets EPIPE once and then what is left: go on there.
_READ_ON = f"""
exec 3</dev/kmsg 4>&1
for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
	case $(LC_ALL=C {_READ} <&3 2>&1 >&4) in *"Broken pipe"*) ;; *) exit 0 ;; esac
done
"""
_OVERTAKEN = b"Broken pipe"
Read = Callable[[list[str]], Result]


class KernelLog:
    """The log of one machine, whatever became of it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def records(self) -> list[Record]:
        """All records until now, in the order of time; of a dead guest what was on its console.

        MachineLostError when the guest hangs.
        """
        console = parse_console(self._machine.console.read())
        if not self._machine.alive():
            return console
        return merged(read_kmsg(lambda argv: self._machine.run(argv, check=False)), console)

    def complaints(self) -> list[Splat]:
        """What the kernel complained about and is not allowed: splats, and a taint that nothing in the log explains."""
        records = self.records()
        found = find_splats(records)
        taint = taint_splat(read_taint(self._machine), found) if self._machine.alive() else None
        return unexpected([*found, taint] if taint else found)


def read_kmsg(read: Read) -> list[Record]:
    """What /dev/kmsg holds, `read` running commands in the guest; also of a kernel that talks while it is read."""
    program, *options = _READ.split()
    done = read([program, "if=/dev/kmsg", *options])
    if _OVERTAKEN in done.stderr:
        done = read(["sh", "-c", _READ_ON])
    return parse_kmsg(done.stdout)
