"""Failures on request: allocations of a module, or functions, that a kernel with fault injection lets fail."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lab.errors import RequestError, UnsupportedError
from lab.evidence.details import Details, read_details
from lab.evidence.kernellog import KernelLog
from lab.evidence.printk import Record
from lab.kernels.kernel import Kernel
from lab.machines.machine import Machine

KERNEL = "build:6.12+fault"
_BEGIN = "FAULT_INJECTION: forcing a failure"
_NAME = re.compile(r"name (\w{1,64}),")
_MAX_LINES = 80
_WORD = re.compile(r"[A-Za-z_][\w.]{0,255}", re.ASCII)
_NOT_ALLOWED = 4
_PLACE = 'cat "/sys/module/$0/sections/.text" "/sys/module/$0/coresize"'
# $1 and $2 are where the code begins and ends, $3 how often. Allocations that may sleep are let fail, too.
_ALLOCATIONS = """
cd /sys/kernel/debug/failslab || exit
echo "$1" >require-start && echo "$2" >require-end && echo N >ignore-gfp-wait || exit
echo 0 >space && echo 2 >verbose && echo 1 >interval && echo "$3" >times && echo 100 >probability
"""
# $1 is the function, $2 what it is to return, $3 how often.
_FUNCTION = f"""
cd /sys/kernel/debug/fail_function || exit
echo "$1" >inject || exit {_NOT_ALLOWED}
echo "$2" >"$1/retval" || exit
echo 0 >space && echo 2 >verbose && echo 1 >interval && echo "$3" >times && echo 100 >probability
"""
_STOP = """
cd /sys/kernel/debug || exit
echo 0 >failslab/probability
echo 0 >fail_function/probability && echo >fail_function/inject
"""


@dataclass(frozen=True)
class Injected:
    """One failure that happened: `what` is failslab or fail_function, `details` say in whom and where."""

    what: str
    details: Details

    def __str__(self) -> str:
        return f"{self.what} in {self.details.culprit} by {self.details.comm} (pid {self.details.pid})"


class Faults:
    """Fault injection of one machine's kernel."""

    def __init__(self, machine: Machine, kernel: Kernel) -> None:
        """UnsupportedError, naming a kernel that has it, when the kernel injects no failures."""
        for name in ("FAILSLAB", "FAIL_FUNCTION"):
            _demand(kernel, name)
        self._machine, self._kernel = machine, kernel

    def allocations(self, module: str, times: int = 1) -> None:
        """From now on let the next `times` allocations (kmalloc and the like) fail that the module's functions make,
        or functions that they call. RequestError when it is not loaded, UnsupportedError on old kernels."""
        _demand(self._kernel, "FAULT_INJECTION_STACKTRACE_FILTER")
        _demand_name(module)
        place = self._machine.run(["sh", "-c", _PLACE, module], check=False).text.split()
        if len(place) != 2:
            raise RequestError(f"there is no module {module} in the guest", hint="lsmod lists those that there are")
        start, size = int(place[0], 16), int(place[1])
        self._arm(_ALLOCATIONS, f"{start:#x}", f"{start + size:#x}", str(times))

    def function(self, name: str, value: int, times: int = 1) -> None:
        """From now on let the next `times` calls of the function return `value` and do nothing. RequestError for one
        that does not allow it: only those with ALLOW_ERROR_INJECTION do."""
        _demand_name(name)
        self._arm(_FUNCTION, name, str(value & 0xFFFFFFFFFFFFFFFF), str(times))

    def stop(self) -> None:
        """Let nothing fail any more."""
        self._machine.run(["sh", "-c", _STOP])

    def injected(self) -> list[Injected]:
        """The failures that happened until now, as the kernel log tells them."""
        return read_injected(KernelLog(self._machine).records())

    def _arm(self, script: str, *words: str) -> None:
        done = self._machine.run(["sh", "-c", script, "faults", *words], check=False)
        if done.status == _NOT_ALLOWED:
            what = f"{words[0]} allows no injected errors"
            raise RequestError(what, hint="cat /sys/kernel/debug/error_injection/list in the guest")
        if done.status != 0:
            raise RequestError(f"no failure can be injected: {done.stderr.decode(errors='replace').strip()}")


def _demand(kernel: Kernel, option: str) -> None:
    if kernel.option(option) != "y":
        raise UnsupportedError(
            f"kernel {kernel.release} lacks CONFIG_{option}; {KERNEL} has it", hint=f"--kernel {KERNEL}"
        )


def _demand_name(name: str) -> None:
    if not _WORD.fullmatch(name):
        raise RequestError(f"{name!r} is no name in a kernel")


def read_injected(records: Iterable[Record]) -> list[Injected]:
    """The injected failures in a kernel log."""
    found: list[list[str]] = []
    for record in records:
        if record.facility:  # a program's words
            continue
        if record.text.startswith(_BEGIN):
            found.append([])
        if found and len(found[-1]) < _MAX_LINES:
            found[-1].append(record.text)
    return [_read(lines) for lines in found]


def _read(lines: list[str]) -> Injected:
    named = next((match[1] for line in lines[:4] if (match := _NAME.match(line))), "")
    return Injected(named, read_details(lines[0], lines))
