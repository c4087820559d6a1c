"""The guest's bpftool, run by sh as a person would: `lab exec ID -- bpftool -j ...`."""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sh

from lab.errors import LabError, UnsupportedError
from lab.evidence.bpf import (
    Attached,
    Btf,
    Entry,
    Link,
    Map,
    Program,
    Snapshot,
    read_btf,
    read_entries,
    read_json,
    read_links,
    read_maps,
    read_net,
    read_numbers,
    read_perf,
    read_programs,
)
from lab.machines.machine import AGENT, Machine

# Seconds on hardware. The feature probe loads hundreds of programs.
_DEADLINE, _PROBE_DEADLINE, _GONE_DEADLINE = 10.0, 60.0, 3.0
_LAB_ITSELF = 15.0  # seconds of the clock that `lab exec` may need on a busy host beside its command
_MAX_OUTPUT = 32 << 20
_LABS_FAILURE = 125
_PINNED = ("-f",)  # tells where in a bpffs it is pinned, too
_COUNT = "/proc/sys/kernel/bpf_stats_enabled"

Run = Callable[[tuple[str, ...], float], bytes]


class Bpftool:
    """The `bpftool` fixture: each method is one of its commands, its answer typed.

    `run(words, seconds)` runs bpftool with these words and returns what it printed.
    """

    def __init__(self, machine: Machine, run: Run | None = None) -> None:
        self._machine = machine
        self._run = run or _through_door(machine)

    def programs(self) -> list[Program]:
        """The programs in the kernel, with their run counts and times where it counts (`count_runs`)."""
        return read_programs(self._ask(*_PINNED, "prog", "show"))

    def maps(self) -> list[Map]:
        """The maps in the kernel."""
        return read_maps(self._ask(*_PINNED, "map", "show"))

    def entries(self, of: Map | int) -> list[Entry]:
        """What is in that map, by its BTF where it has one; UnsupportedError for a kind that cannot be read."""
        number = of.id if isinstance(of, Map) else of
        try:
            return read_entries(self._ask("map", "dump", "id", str(number)))
        except LabError as error:
            if "not supported" in error.what or "not permitted" in error.what:
                raise UnsupportedError(f"map {number} cannot be read: {error.what}") from error
            raise

    def links(self) -> list[Link]:
        """The links in the kernel."""
        return read_links(self._ask("link", "show"))

    def btf(self) -> list[Btf]:
        """The type information in the kernel, its own too."""
        return read_btf(self._ask("btf", "show"))

    def net(self) -> list[Attached]:
        """Programs at network devices."""
        return read_net(self._ask("net", "show"))

    def perf(self) -> list[Attached]:
        """Programs at perf events: kprobes, uprobes, tracepoints."""
        return read_perf(self._ask("perf", "show"))

    def features(self) -> dict[str, Any]:
        """What the kernel's BPF can do: bpftool's own words, by section."""
        found = self._ask("feature", "probe", "kernel", seconds=_PROBE_DEADLINE)
        if not isinstance(found, dict):
            raise LabError("bpftool in the guest said nothing of features")
        return found

    def count_runs(self, on: bool = True) -> None:
        """Have the kernel count how often each program runs and for how long; it costs each run some time.

        UnsupportedError on kernels before 5.1.
        """
        done = self._machine.run(["sh", "-c", f"echo {int(on)} >{_COUNT}"], check=False)
        if done.status != 0:
            raise UnsupportedError("this kernel does not count the runs of BPF programs (it has no bpf_stats_enabled)")

    def snapshot(self) -> Snapshot:
        """All that programs brought into the kernel until now, for `left_behind`."""
        own = [item for item in self.btf() if not item.kernel]
        return Snapshot(tuple(self.programs()), tuple(self.maps()), tuple(self.links()), tuple(own))

    def left_behind(self, before: Snapshot | None = None) -> Snapshot:
        """What is in the kernel now that was not before: after an unload, what the driver left.

        Without `before`, everything; a fresh guest has nothing of the kind. A kernel frees what nobody uses a little
        later: this waits for up to 3 s on hardware while there is something. It looks at numbers until then: bpftool
        opens what it lists, and a map that is being emptied while that happens may stay for ever.
        """
        known = (before or Snapshot()).numbers()
        end = time.monotonic() + self._machine.scaled(_GONE_DEADLINE)
        while self._numbers() - known and time.monotonic() < end:
            pass
        return self.snapshot().without(before or Snapshot())

    def _numbers(self) -> frozenset[tuple[str, int]]:
        return read_numbers(self._machine.run([AGENT, "bpf"]).text)

    def _ask(self, *words: str, seconds: float = _DEADLINE) -> Any:
        return read_json(self._run(words, self._machine.scaled(seconds)))


def _through_door(machine: Machine) -> Run:
    def run(words: tuple[str, ...], seconds: float) -> bytes:
        return _lab_exec(machine.folder.path, ("bpftool", "-j", *words), seconds)

    return run


class _Kept(io.BytesIO):
    """What a program prints, up to a bound; what is beyond is counted and dropped."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.lost = 0

    def write(self, data: Any) -> int:
        kept = data[: max(0, self._limit - self.tell())]
        self.lost += len(data) - len(kept)
        super().write(kept)
        return len(data)


def _lab_exec(folder: Path, argv: tuple[str, ...], seconds: float) -> bytes:
    """What a command printed in the machine of that folder; an error of bpftool's own is in what it printed."""
    out, err, status = _Kept(_MAX_OUTPUT), _Kept(1 << 16), 0
    words = ["-m", "lab.cli.exec", "--deadline", str(seconds), folder.name, "--", *argv]
    environment = {**os.environ, "LAB_RUN_DIR": str(folder.parent), "PYTHONPATH": os.pathsep.join(sys.path)}
    # A pipe, not a terminal; nothing of it kept by sh itself.
    options: dict[str, Any] = {
        "_out": out,
        "_err": err,
        "_tty_out": False,
        "_no_out": True,
        "_no_err": True,
        "_env": environment,
    }
    with warnings.catch_warnings():
        # sh forks, which newer Pythons warn of when there are threads; its child does nothing before it execs.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            sh.Command(sys.executable)(*words, _timeout=seconds + _LAB_ITSELF, **options)
        except sh.ErrorReturnCode as error:
            status = int(error.exit_code)
        except sh.TimeoutException as error:
            raise LabError(f"lab exec did not end within {seconds + _LAB_ITSELF:.0f} s") from error
    if out.lost:
        raise LabError(f"bpftool in the guest printed more than {_MAX_OUTPUT >> 20} MiB")
    if status == _LABS_FAILURE or not out.getvalue():
        said = err.getvalue().decode(errors="replace").strip()[-1000:]
        raise LabError(f"{' '.join(argv)} came to nothing (status {status}): {said.removeprefix('lab: ')}")
    return out.getvalue()
