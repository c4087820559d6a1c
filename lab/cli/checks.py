"""What `lab doctor` makes of the facts it is given; pure, but for the two that try a program out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.errors import HostError, LabError
from lab.machines.accel import Accel, Acceleration
from lab.machines.qemu import Qemu
from lab.process import Completed
from lab.settings import Settings

_ROOMY_MIB = 4096  # one kernel with its compilers, the guest's image and QEMU take 2 GiB
_MACHINE_DISK_MIB = 256  # an initrd, a console of 64 MiB kept twice, logs
_QEMU_OWN_MIB = 192  # beside the guest's memory


class State(StrEnum):
    """`note` is for what is optional, or what the lab gets for itself."""

    OK = "ok"
    LACKS = "lacks"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: what it is about, how it stands, what was found, the command that mends it."""

    subject: str
    state: State
    text: str
    mend: str = ""

    def line(self) -> str:
        """As it is printed."""
        mend = f"  ->  {self.mend}" if self.mend else ""
        return f"{self.state:<6} {self.subject:<17} {self.text}{mend}"


Run = Callable[[Sequence[str]], Completed]


def lacks(subject: str, error: LabError) -> Finding:
    """What an error says, as a finding."""
    return Finding(subject, State.LACKS, " ".join(error.what.split()), error.hint)


def own_qemu(qemu: Qemu | None) -> Finding:
    """The lab's own QEMU; None when it is not in the store."""
    if qemu is None:
        return Finding("QEMU, the lab's", State.NOTE, "not in the store yet; fetched when needed", "lab doctor --fetch")
    return Finding("QEMU, the lab's", State.OK, f"version {qemu.version}, in the store")


def host_qemu(qemu: Qemu | None, install: str) -> Finding:
    """The host's QEMU, which the lab does not need."""
    if qemu is None:
        return Finding("QEMU, the host's", State.NOTE, "none; the lab does not need it", install)
    return Finding("QEMU, the host's", State.OK, f"version {qemu.version}; the lab does not need it")


def kvm(acceleration: Acceleration | None, settings: Settings, user: str) -> Finding:
    """Whether guests run by KVM; None when that could not be tried for want of a QEMU."""
    if acceleration is None:
        why = "/dev/kvm is there; not tried, for the lab's QEMU is not in the store yet"
        return Finding("KVM", State.NOTE, why, "lab doctor --fetch")
    if acceleration.kind is Accel.KVM:
        return Finding("KVM", State.OK, f"works: {acceleration.why}")
    if settings.accel == "kvm":
        return Finding("KVM", State.LACKS, f"required by the settings: {acceleration.why}", "LAB_ACCEL=auto emulates")
    mend = f"sudo usermod -aG kvm {user}, then log in again" if "Permission denied" in acceleration.why else ""
    return Finding("KVM", State.NOTE, f"guests are emulated, which is slower: {acceleration.why}", mend)


def store_disk(free_mib: int, settings: Settings) -> Finding:
    """Disk space for the store."""
    text = f"{free_mib} MiB free at {settings.store}"
    if free_mib < settings.min_free_mib:
        return Finding(
            "disk, store",
            State.LACKS,
            f"{text}, {settings.min_free_mib} MiB are needed",
            "free some space, or set LAB_STORE to another disk",
        )
    if free_mib < _ROOMY_MIB:
        return Finding(
            "disk, store",
            State.NOTE,
            f"{text}; a first kernel with its compilers takes 2048",
            "set LAB_STORE to another disk when it gets full",
        )
    return Finding("disk, store", State.OK, text)


def machines_disk(free_mib: int, settings: Settings) -> Finding:
    """Disk space for what running machines keep."""
    text = f"{free_mib} MiB free at {settings.run_dir}"
    if free_mib < _MACHINE_DISK_MIB:
        text += f", a machine may need {_MACHINE_DISK_MIB} MiB"
        return Finding("disk, machines", State.LACKS, text, "set LAB_RUN_DIR to another disk")
    return Finding("disk, machines", State.OK, text)


def memory(available_mib: int, settings: Settings) -> Finding:
    """Memory for one guest."""
    needed = settings.memory_mib + _QEMU_OWN_MIB
    text = f"{available_mib} MiB available, a guest takes {needed} MiB"
    if available_mib < needed:
        return Finding("memory", State.LACKS, text, "end other programs, or set LAB_MEMORY_MIB=512")
    return Finding("memory", State.OK, text)


def available_mib(meminfo: str) -> int:
    """MemAvailable in the text of /proc/meminfo (proc_meminfo(5): in KiB)."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    raise LabError("/proc/meminfo has no MemAvailable", hint="use a kernel of 3.14 or newer")


def keyring(path: Path, install: str) -> Finding:
    """The keys by which Debian's archives are known."""
    if not path.is_file():
        return Finding("keyring", State.LACKS, f"{path} is not there", install)
    return Finding("keyring", State.OK, str(path))


def programs(wanted: Mapping[str, str], find: Callable[[str], str], install: str) -> Finding:
    """Programs of the host that the lab uses, {program: package}; `find` raises HostError for one that is missing."""
    missing = []
    for name in wanted:
        try:
            find(name)
        except HostError:
            missing.append(name)
    if missing:
        packages = " ".join(dict.fromkeys(wanted[name] for name in missing))
        text = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        return Finding("programs", State.LACKS, text, f"{install} {packages}")
    return Finding("programs", State.OK, ", ".join(wanted))


def trial(subject: str, argv: Sequence[str], run: Run, *, mend: str) -> Finding:
    """Whether a program that needs namespaces works, tried out."""
    try:
        done = run(argv)
    except LabError as error:
        return lacks(subject, error)
    if done.status == 0:
        return Finding(subject, State.OK, f"{Path(argv[0]).name} works")
    said = " ".join((done.stdout + done.stderr).decode(errors="replace").split())[:200]
    return Finding(subject, State.LACKS, f"{Path(argv[0]).name} does not work: {said}", mend)


def archive(role: str, uri: str, signed_by: str, expired: str, waived: bool) -> Finding:
    """An archive that has answered. `expired` says that its Release is past its date; `waived`: it is taken anyway."""
    subject = f"archive, {role}"
    if expired and not waived:
        return Finding(subject, State.LACKS, expired.replace("; taken,", ";"), "LAB_ALLOW_EXPIRED=1 takes it")
    if expired:
        return Finding(subject, State.NOTE, f"{uri} answers; {expired}")
    return Finding(subject, State.OK, f"{uri} answers, signed by {signed_by[-16:]}")


def machines(reaped: int, living: int) -> Finding:
    """The machines that run now, and those that a killed run had left."""
    text = f"{living or 'none'} running" + (f"; removed {reaped} that killed runs had left" if reaped else "")
    return Finding("machines", State.OK, text)


def libvirt(version: str | None, error: str, install: str) -> Finding:
    """libvirt, which is optional: `version` None when it is not there or does not answer."""
    if version is None:
        return Finding("libvirt", State.NOTE, f"{error}; optional", install)
    return Finding("libvirt", State.OK, f"{version}; optional")
