"""bpftrace in a guest that runs: put there when it is not there yet, and its output line by line."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import arches
from lab.arches import Arch
from lab.errors import CommandTimeoutError, LabError, MachineLostError, RequestError, UnsupportedError
from lab.evidence.ftrace import Guest
from lab.evidence.live import LONGEST, Live
from lab.images.roots import tool_root
from lab.machines.result import Sink
from lab.settings import Settings
from lab.store import Store

PACKAGE, SUITE = "bpftrace", "forky"  # as drivers/bpftrace has it: the guests' own suite, whose C library it is given
ARCHES = (arches.AMD64, arches.ARM64)
_TOOLS = "/run/lab/tools"
_PROGRAM = "usr/bin/bpftrace"
_INSTEAD = "--functions and --events need nothing but the kernel"
# Files with everything that bpftrace loads, LLVM for the most part.
_LIBRARIES = "*.so*"
_ATTACHED = b"Attached "
_START_DEADLINE = 480.0  # of the clock: LLVM compiles the program, and that under emulation
_END_DEADLINE = 20.0
_LONGEST_PROGRAM = 64 << 10
_FAILED = 1
_LOOK = f"""
uname -m
uname -r
[ -e /sys/kernel/btf/vmlinux ] && echo btf || echo -
cat /proc/sys/net/core/bpf_jit_enable 2>/dev/null || echo -
command -v bpftrace || command -v {_TOOLS}/bpftrace || echo -
"""
# $1 is the pid file, $2 the program, $3 bpftrace, $4 its libraries where they are its own. It compiles by way of
# /dev/fd, which udev would make.
_RUN = """
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
echo $$ >"$1"
[ -n "$4" ] && export LD_LIBRARY_PATH="$4"
exec "$3" --no-warnings -B line -e "$2"
"""
_STOP = """
pid=$(cat "$1") || exit 0
rm -f "$1"
kill -INT "$pid" 2>/dev/null
while [ -e "/proc/$pid/exe" ]; do sleep 0.1; done
"""


@dataclass(frozen=True)
class Found:
    """What a guest has: its architecture and kernel, whether that has BTF and compiles eBPF, and bpftrace's path, empty
    when it is not there."""

    arch: Arch
    release: str
    btf: bool
    jit: bool
    program: str


def demand_arch(arch: Arch) -> None:
    """UnsupportedError where bpftrace does not work."""
    if arch not in ARCHES:
        names = " and ".join(known.name for known in ARCHES)
        raise UnsupportedError(
            f"bpftrace is for {names}: what it makes for {arch.name} the kernel's verifier refuses", hint=_INSTEAD
        )


def look(guest: Guest) -> Found:
    """What is there of what bpftrace needs."""
    lines = guest.run(["sh", "-c", _LOOK]).text.splitlines()
    if len(lines) != 5:
        raise LabError(f"the guest does not tell what it is: {lines[:5]}")
    machine, release, btf, jit, program = lines
    return Found(arches.find(machine), release, btf == "btf", jit != "0", "" if program == "-" else program)


def demand_kernel(found: Found) -> None:
    """UnsupportedError, in one sentence, where bpftrace's programs cannot be loaded."""
    demand_arch(found.arch)
    if not found.btf:
        what = f"kernel {found.release} has no BTF (CONFIG_DEBUG_INFO_BTF), which bpftrace's programs are made with"
        raise UnsupportedError(what, hint=_INSTEAD)
    if not found.jit:
        what = f"kernel {found.release} has its eBPF JIT switched off (net.core.bpf_jit_enable), and bpftrace needs it"
        raise UnsupportedError(what, hint=f"sysctl net.core.bpf_jit_enable=1 in the guest; {_INSTEAD}")


@contextlib.contextmanager
def tracing(guest: Guest, program: str, sink: Sink, put: Callable[[Found], str]) -> Iterator[Live]:
    """Run a bpftrace program while the block runs, its lines going to `sink`; it ends with the block, its maps printed.

    `put` puts bpftrace into a guest that has none, and returns its folder there. RequestError with bpftrace's own words
    for a program that it does not take, UnsupportedError where there can be none.
    """
    if len(program.encode()) > _LONGEST_PROGRAM:
        raise RequestError("the bpftrace program is longer than 64 KiB", hint="let it print less")
    found = look(guest)
    demand_kernel(found)
    where = found.program or f"{put(found)}/bpftrace"
    libraries = _TOOLS if where.startswith(_TOOLS) else ""
    pid = f"/run/lab/trace-{secrets.token_hex(4)}.pid"
    live = Live(guest, ["sh", "-c", _RUN, "sh", pid, program, where, libraries], sink, LONGEST, ready=_ATTACHED)
    try:
        if not live.wait_ready(_START_DEADLINE):
            _blame(live)
        yield live
    finally:
        # A guest that died has nothing to be ended, and one that hangs is told of by who asks next.
        with contextlib.suppress(MachineLostError, CommandTimeoutError):
            guest.run(["sh", "-c", _STOP, "sh", pid], check=False, deadline=_END_DEADLINE)
        live.finish(_END_DEADLINE)


def _blame(live: Live) -> None:
    said = live.said.strip()
    if live.status is None:
        raise LabError(f"bpftrace did not attach its probes in time: {said[-300:]}")
    raise RequestError(f"bpftrace does not take the program:\n{said[-2000:]}", hint="man bpftrace has its language")


def put_into(guest: Any, found: Found, store: Store, settings: Settings, notice: Callable[[str], None]) -> str:
    """Put bpftrace and the libraries that the guest lacks into its memory; returns the folder. Once for each guest."""
    root = _root(found.arch, store, settings, notice)
    libraries = root / found.arch.library_path
    there = set(guest.run(["ls", f"/{found.arch.library_path}"]).text.split())
    wanted = [path for path in sorted(libraries.glob(_LIBRARIES)) if path.name not in there]
    files = [root / _PROGRAM, *(path for path in wanted if path.resolve().is_file())]
    size = sum(path.resolve().stat().st_size for path in files if _is_own(path)) >> 20
    notice(f"putting bpftrace and what it needs ({size} MiB) into the guest's memory")
    place = f"{_TOOLS}.part"
    guest.run(["sh", "-c", 'rm -rf "$0" && mkdir -p "$0"', place])
    for path in files:
        if _is_own(path):
            guest.put(f"{place}/{path.name}", path.resolve())
        else:
            guest.run(["ln", "-s", path.resolve().name, f"{place}/{path.name}"])
    guest.run(["sh", "-c", 'chmod 755 "$0/bpftrace" && mv "$0" "$1"', place, _TOOLS])
    return _TOOLS


def _is_own(path: Path) -> bool:
    """Whether it is a file of its own, or a link out of its folder: not another name of one that is put there too."""
    return path.resolve().parent != path.parent or not path.is_symlink()


def _root(arch: Arch, store: Store, settings: Settings, notice: Callable[[str], None]) -> Path:
    return tool_root(PACKAGE, SUITE, arch, store, settings, notice)
