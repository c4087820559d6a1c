"""Whether guests run by hardware virtualization or by emulation, decided by what works, not by what exists.

A host may have a /dev/kvm that opens and creates machines, and yet every stock kernel hangs in it for ever (a
paravirtual KVM that emulates what its guests were not changed for). So a payload of a kilobyte (kvmprobe/) does what a
kernel does in its first second, and a deadline decides. The verdict is kept until the host boots again.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from lab.arches import Arch
from lab.errors import HostError, LabError, RequestError
from lab.process import run
from lab.store import Store, file_digest, key_of

# The one place for it: emulated guests take about this much longer than the deadlines, written for KVM, allow.
_TCG_FACTOR = 8.0
# What real virtualization does in 0.1 s and an idle emulator in 0.4 s; a loaded host gets the rest.
_PROBE_DEADLINE = 5.0
_PASSED = 0x55  # kvmprobe/*.S writes 0x2a to isa-debug-exit, QEMU exits with twice that plus one
_UNEXPECTED = 0x03
_NOT_STARTED = (126, 127)  # from timeout(1) and from a loader without its program
_KVM_CPU = "host"
_STEPS = MappingProxyType(
    {
        "": "starting at all",
        "a": "asking for long mode by cpuid",
        "b": "making page tables",
        "c": "entering long mode",
        "d": "taking exceptions",
        "e": "writing and reading MSRs",
        "f": "the instructions that cpuid promises",
        "g": "going to user space and back",
        "h": "being woken by the timer",
        "i": "working at the speed of hardware",
        "z": "ending",
    }
)
_AUTO_HINT = "--accel auto emulates where KVM does not work"


class Accel(StrEnum):
    """What executes a guest's instructions, in QEMU's words."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class Acceleration:
    """What was chosen and why, for headers and reports."""

    kind: Accel
    why: str

    def scaled(self, seconds: float) -> float:
        """A deadline written for KVM, in seconds, as it is to be used here."""
        return seconds * (_TCG_FACTOR if self.kind is Accel.TCG else 1.0)


@dataclass(frozen=True)
class Verdict:
    """What the probe found."""

    works: bool
    why: str


@dataclass(frozen=True)
class Host:
    """What of the host decides; `boot_id` is another one after each boot."""

    machine: str
    device: Path
    boot_id: str


Probe = Callable[[Arch, Sequence[str]], Verdict]


def this_host() -> Host:
    """The host the lab runs on (boot_id: random(4))."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Host(platform.machine(), Path("/dev/kvm"), boot_id)


def choose(
    requested: str,
    arch: Arch,
    qemu_command: Sequence[str],
    store: Store,
    *,
    host: Host | None = None,
    probe: Probe | None = None,
) -> Acceleration:
    """What guests of `arch` run by: `requested` is auto, kvm or tcg, `qemu_command` the words that start QEMU.

    Raises HostError when "kvm" is requested and does not work, RequestError for any other word.
    """
    if requested not in ("auto", "kvm", "tcg"):
        raise RequestError(f"unknown acceleration {requested!r}", hint="choose one of: auto, kvm, tcg")
    if requested == "tcg":
        return Acceleration(Accel.TCG, "requested")
    host = host or this_host()
    why_not = _obstacle(arch, host)
    verdict = Verdict(False, why_not) if why_not else _remembered(arch, qemu_command, store, host, probe or probe_kvm)
    if verdict.works:
        return Acceleration(Accel.KVM, verdict.why)
    if requested == "kvm":
        raise HostError(f"KVM was requested and does not work: {verdict.why}", hint=_AUTO_HINT)
    return Acceleration(Accel.TCG, verdict.why)


def probe_argv(
    qemu_command: Sequence[str], arch: Arch, kind: Accel, payload: Path, steps: Path, *, limit: float = _PROBE_DEADLINE
) -> list[str]:
    """The command that runs `payload` and writes the letters of its steps to the file `steps`.

    timeout(1) ends QEMU also when the lab was killed in the meantime: `limit` (seconds) and as much again.
    """
    kvm = kind is Accel.KVM
    return [
        *("timeout", "--signal=KILL", f"{2 * limit:g}"),
        *qemu_command,
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", arch.qemu_machine, "-accel", str(kind), "-cpu", _KVM_CPU if kvm else arch.tcg_cpu),
        *("-smp", "1", "-m", "64"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        *("-debugcon", f"file:{steps}"),
        *("-kernel", str(payload)),
    ]


def probe_kvm(arch: Arch, qemu_command: Sequence[str]) -> Verdict:
    """Whether a guest runs under KVM on this host: the payload is run, which takes 5 s at most."""
    return run_probe(arch, qemu_command, Accel.KVM, payload_for(arch))


def run_probe(
    arch: Arch,
    qemu_command: Sequence[str],
    kind: Accel,
    payload: Path,
    *,
    deadline: float = _PROBE_DEADLINE,
    env: Mapping[str, str] | None = None,
) -> Verdict:
    """Run the payload and judge it; `deadline` in seconds. Raises HostError when QEMU cannot be started."""
    with tempfile.TemporaryDirectory(prefix="lab-probe-") as folder:
        steps, log = Path(folder) / "steps", Path(folder) / "log"
        argv = probe_argv(qemu_command, arch, kind, payload, steps, limit=deadline)
        try:
            status: int | None = run(argv, deadline=deadline, env=env, log=log, check=False).status
        except HostError:
            raise
        except LabError:
            status = None  # the deadline passed
        if status in _NOT_STARTED:
            raise HostError(f"QEMU cannot be started: {_text(log).strip()[:300]}", hint="lab doctor")
        return judge(kind, status, _text(steps), _text(log), deadline)


def judge(kind: Accel, status: int | None, steps: str, log: str, deadline: float) -> Verdict:
    """What QEMU's exit status (None: it had to be ended), the payload's steps and QEMU's words mean."""
    name = kind.upper()
    if status == _PASSED and steps.endswith("z"):
        return Verdict(True, f"a probe ran under {name} from its first instruction to its last")
    reached = steps.rstrip("!")[-1:]
    doing = f"{_STEPS.get(reached, 'an unknown step')} (step {reached or 'none'})"
    said = next((line for line in log.splitlines() if "error" in line.lower() or "failed" in line.lower()), "")
    because = f"; QEMU said: {said.strip()[:200]}" if said else ""
    if status is None:
        return Verdict(False, f"under {name} a probe hung at {doing} for {deadline:g} s{because}")
    if status == _UNEXPECTED or steps.endswith("!"):
        return Verdict(False, f"under {name} a probe met what no CPU does at {doing}{because}")
    return Verdict(False, f"under {name} QEMU ended with status {status} at {doing}{because}")


def payload_for(arch: Arch) -> Path:
    """Where the architecture's payload is, or would be."""
    return Path(__file__).parent / "kvmprobe" / f"{arch.name}.bin"


def _obstacle(arch: Arch, host: Host) -> str:
    """Why KVM is out of the question, or nothing."""
    if arch.machine != host.machine:
        return f"guests are {arch.name} and the host is {host.machine}"
    try:
        os.close(os.open(host.device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return f"the host has no {host.device}"
        return f"{host.device} cannot be opened: {os.strerror(error.errno or 0)}"
    if not payload_for(arch).exists():
        return f"the lab has no probe yet that could tell whether KVM works on {arch.name}"
    return ""


def _remembered(arch: Arch, qemu_command: Sequence[str], store: Store, host: Host, probe: Probe) -> Verdict:
    """The verdict of this boot of the host, of this QEMU and payload; found out when there is none."""
    folder = store.state("kvm")
    inputs = {"boot": host.boot_id, "qemu": list(qemu_command), "payload": file_digest(payload_for(arch))}
    place = folder / f"{key_of(inputs)}.json"
    with store.lock("kvm-probe"):
        known = _read(place)
        if known is None:
            known = probe(arch, qemu_command)
            aside = place.with_suffix(".new")
            aside.write_text(json.dumps(asdict(known)))
            aside.replace(place)
        return known


def _read(place: Path) -> Verdict | None:
    """A verdict kept earlier; a damaged file counts as none."""
    try:
        value = json.loads(place.read_bytes())
        return Verdict(bool(value["works"]), str(value["why"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
