"""`lab doctor`: what this host has and lacks, one line each, with the command that mends it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from lab import arches
from lab.arches import Arch
from lab.archives import aptconf, failures, release
from lab.archives.sources import Sources
from lab.archives.suites import DEBIAN, Suite
from lab.cli import checks
from lab.cli.checks import Finding, State
from lab.cli.context import notice
from lab.errors import ArchiveError, ExitCode, HostError, LabError
from lab.machines.accel import Acceleration, Verdict, choose
from lab.machines.qemu import Qemu, host_qemu, own_qemu
from lab.machines.record import living, reap
from lab.process import Completed, ProgramFailedError, run, which
from lab.settings import Settings
from lab.store import Entry, Json, Store

_PROGRAMS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "gpgv": "gpgv",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "setpriv": "util-linux",
}
_ARCHIVES = {"main": "trixie", "security": "trixie-security"}  # the suites that are asked, for one file of 200 KB
_APT_HELPER = "/usr/lib/apt/apt-helper"
_ARCHIVE_SECONDS = 10.0
_TRIAL_SECONDS = 5.0
_USERNS_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")

Check = Callable[[], Iterable[Finding]]


class NotStoredError(LabError):
    """It would have to be fetched."""


class Shelf(Store):
    """The store, for those who only want to know what is in it."""

    def get(self, kind: str, inputs: Json, fill: Callable[[Path], Json]) -> Entry:  # noqa: ARG002 - never filled
        """The entry, or NotStoredError."""
        found = self.find(kind, inputs)
        if found is None:
            raise NotStoredError(f"{kind} is not in the store")
        return found


@click.command("doctor")
@click.option("--fetch", is_flag=True, help="Fetch the lab's own QEMU first, so that KVM can be tried out.")
@click.pass_obj
def doctor(settings: Settings, fetch: bool) -> int:
    """Say what this host has and lacks for the lab, and how to mend it; exit status 3 when something is lacking."""
    everything = _all_checks(settings, fetch)
    lacking = 0
    with ThreadPoolExecutor(max_workers=len(everything)) as pool:
        # As they come, in their order: the archives are last, and may take their time.
        for findings in pool.map(_guarded, everything.items()):
            for finding in findings:
                click.echo(finding.line())
                lacking += finding.state is State.LACKS
    click.echo(f"{lacking} lacking: see the commands behind ->" if lacking else "Nothing is lacking.")
    return ExitCode.HOST_LACKS if lacking else ExitCode.OK


def _all_checks(settings: Settings, fetch: bool) -> dict[str, Check]:
    """The checks by the subject that is named when one of them cannot even be made."""
    host = arches.host()
    return {
        "QEMU": lambda: _qemu_and_kvm(settings, host, fetch),
        "QEMU, the host's": lambda: [_host_qemu(host)],
        "disk, store": lambda: [checks.store_disk(_free_mib(settings.store), settings)],
        "disk, machines": lambda: [checks.machines_disk(_free_mib(settings.run_dir), settings)],
        "memory": lambda: [checks.memory(checks.available_mib(Path("/proc/meminfo").read_text()), settings)],
        "machines": lambda: [checks.machines(reap(settings.run_dir), len(living(settings.run_dir)))],
        "programs": lambda: [checks.programs(_PROGRAMS, which, _install())],
        "builders": lambda: [_bubblewrap()],
        "images": lambda: [_user_namespace()],
        "keyring": lambda: [checks.keyring(DEBIAN.keyring, _install("debian-archive-keyring"))],
        "libvirt": lambda: [_libvirt()],
        **{f"archive, {role}": _archive_check(settings, role) for role in _ARCHIVES},
    }


def _guarded(check: tuple[str, Check]) -> list[Finding]:
    """A check's findings; one that the host does not even let us make is a finding too."""
    subject, make = check
    try:
        return list(make())
    except LabError as error:
        return [checks.lacks(subject, error)]
    except OSError as error:
        return [checks.lacks(subject, LabError(f"cannot be looked at: {error}"))]


def _qemu_and_kvm(settings: Settings, arch: Arch, fetch: bool) -> Iterable[Finding]:
    kind = Store if fetch else Shelf
    store = kind(settings.store, min_free_mib=settings.min_free_mib, notice=notice)
    qemu: Qemu | None = None
    try:
        qemu = own_qemu(arch, store, settings, notice)
        yield checks.own_qemu(qemu)
    except NotStoredError:
        yield checks.own_qemu(None)
    except LabError as error:
        yield checks.lacks("QEMU, the lab's", error)
    yield checks.kvm(_acceleration(arch, qemu, store), settings, aptconf.user() or "USER")


def _acceleration(arch: Arch, qemu: Qemu | None, store: Store) -> Acceleration | None:
    """What guests run by; without a QEMU, as far as that can be told without trying."""
    if qemu is not None:
        return choose("auto", arch, qemu.command, store)
    try:
        return choose("auto", arch, (), store, probe=_cannot_try)
    except NotStoredError:
        return None


def _cannot_try(_: Arch, __: Sequence[str]) -> Verdict:
    raise NotStoredError("there is no QEMU to try it with")


def _host_qemu(arch: Arch) -> Finding:
    install = _install(arch.qemu_packages[0])
    try:
        return checks.host_qemu(host_qemu(arch), install)
    except HostError:
        return checks.host_qemu(None, install)


def _bubblewrap() -> Finding:
    """Builder roots are entered with it; Ubuntu 24.04 keeps it from users that are not root."""
    argv = [which("bwrap", package="bubblewrap"), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    return _namespace_trial("builders", [*argv, "--unshare-all", "true"])


def _user_namespace() -> Finding:
    if os.getuid() == 0:
        return Finding("images", State.OK, "made as root")
    return _namespace_trial("images", [which("unshare", package="util-linux"), "--map-root-user", "true"])


def _namespace_trial(subject: str, argv: Sequence[str]) -> Finding:
    mend = "run the lab as root" if os.getuid() else "in a container: allow it to make namespaces and mounts"
    if os.getuid() and _USERNS_SWITCH.exists() and _USERNS_SWITCH.read_text().strip() == "1":
        mend = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run the lab as root"
    return checks.trial(subject, argv, _try, mend=mend)


def _try(argv: Sequence[str]) -> Completed:
    return run(argv, deadline=_TRIAL_SECONDS, check=False)


def _libvirt() -> Finding:
    install = _install("libvirt-clients", "libvirt-daemon-system")
    try:
        done = _try([which("virsh"), "--connect", "qemu:///system", "version"])
    except LabError as error:
        return checks.libvirt(None, error.what, install)
    if done.status != 0:
        return checks.libvirt(None, "virsh is there, and its daemon does not answer", "sudo systemctl start libvirtd")
    lines = [line for line in done.text.splitlines() if line.startswith("Using library")]
    return checks.libvirt(lines[0].removeprefix("Using library: ") if lines else "answers", "", install)


def _archive_check(settings: Settings, role: str) -> Check:
    return lambda: [_archive(settings, role, _ARCHIVES[role])]


def _archive(settings: Settings, role: str, name: str) -> Finding:
    """Ask for one signed file, in the way in which the lab's apt asks for everything."""
    if settings.offline:
        return Finding(f"archive, {role}", State.NOTE, "not asked: offline")
    which("apt-get", package="apt")
    suite = Sources(settings).suite(name)
    with tempfile.TemporaryDirectory(prefix="lab-doctor-") as folder:
        target = _in_release(settings, suite, Path(folder))
        waived = aptconf.options(settings).get("Acquire::Check-Valid-Until") == "false"
        expired = release.expiry_notice(target, name)
        return checks.archive(role, suite.uri, release.signer(target, suite.keyring), expired, waived)


def _in_release(settings: Settings, suite: Suite, folder: Path) -> Path:
    config = aptconf.write_root(folder, arches.host(), suite.line(), settings)
    target = folder / "InRelease"
    # A silent archive is found out before our own deadline, in apt's words.
    quick = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=8", "-o", "Acquire::https::Timeout=8"]
    argv = [_APT_HELPER, *quick, "download-file", f"{suite.uri}/dists/{suite.name}/InRelease", str(target)]
    try:
        run(argv, deadline=_ARCHIVE_SECONDS, env={"APT_CONFIG": str(config)})
    except ProgramFailedError as error:
        raise failures.archive_error(error, suite.name, suite.uri) from error
    except LabError as error:
        hint = error.hint or "check the network and LAB_MIRROR / LAB_SECURITY_MIRROR"
        raise ArchiveError(f"the archive of {suite.name} at {suite.uri}: {error.what}", hint=hint) from error
    return target


def _free_mib(place: Path) -> int:
    """Free space where the folder is, or would be made."""
    existing = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free >> 20


def _install(*packages: str) -> str:
    command = "apt-get install" if os.getuid() == 0 else "sudo apt-get install"
    return " ".join((command, *packages))
