"""The configuration of the lab's private apt: nothing of the host's but how it reaches archives and what it waives."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from lab import process
from lab.arches import Arch
from lab.errors import ArchiveError, LabError
from lab.process import ProgramFailedError
from lab.settings import Settings

# How the host's administrator lets apt out: proxies, certificates, time limits. Everything else stays behind.
_TRANSPORT = re.compile(r'^(Acquire::(?:http|https|ftp)::\S+) "(.*)";$')
_WAIVERS = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")

# apt has no status for these; the words are those of apt 2.2 to 3.1 with LC_ALL=C.
_UNTRUSTED = (
    "GPG error",
    "NO_PUBKEY",
    "BADSIG",
    "Hash Sum mismatch",
    "unexpected size",
    "not valid yet",
    "isn't valid",
    "signature verification",
    "OpenPGP",
    "Sub-process /usr/bin/sqv",
    "Sub-process /usr/bin/gpgv",
)
_UNREACHABLE = (
    "Could not resolve",
    "Temporary failure resolving",
    "Could not connect",
    "Unable to connect",
    "Cannot initiate the connection",
    "Connection failed",
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "Connection closed",
    "Error reading from server",
    "Network is unreachable",
    "does not have a Release file",
    "no longer has a Release file",
    "File not found",
)
_EXPIRED = "is expired"
_UNSIGNED = "is not signed"
_REFUSED = re.compile(r"Failed to fetch \S+/InRelease  [45]\d\d ")
_GONE = re.compile(r"\b(404|410)  \S")
_STATUS = re.compile(r"\b[45]\d\d  \S")  # apt prints "404  Not Found [IP: ...]"


class UnavailableError(ArchiveError):
    """An archive was silent or out of date: the lab may go on without it. A lying archive is never this."""


class GoneError(ArchiveError):
    """An archive answers, and has that very file no more: a newer version has taken its place."""


def demand_online(settings: Settings, what: str) -> None:
    """UnavailableError when the user keeps the lab off the network, where `what` would have to be fetched."""
    if settings.offline:
        raise UnavailableError(
            f"offline: {what} is not in the store", hint="run once without --offline (LAB_OFFLINE), to fetch it"
        )


def options(settings: Settings) -> dict[str, str]:
    """The options that every apt of the lab gets, its own and mmdebstrap's."""
    host = _host_options()
    chosen = {
        # The host may be slow; an archive that does not answer must still not stop a run for minutes.
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
        "Acquire::Retries": "2",
        "APT::Sandbox::User": user(),  # nobody else may write where these roots are
        "Acquire::Languages": "none",
        "Acquire::PDiffs": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
    }
    chosen.update({name: value for name, value in host.items() if name not in _WAIVERS})
    if settings.allow_expired:
        chosen["Acquire::Check-Valid-Until"] = "false"
    chosen.update({name: "false" for name in _WAIVERS if _is_false(host.get(name, ""))})
    return chosen


def render(chosen: dict[str, str]) -> str:
    """The options as lines of apt.conf."""
    return "".join(f'{name} "{value}";\n' for name, value in chosen.items())


def write_root(root: Path, arch: Arch, line: str, settings: Settings) -> Path:
    """Lay out a private apt root below `root` for one line of sources.list; returns its apt.conf for APT_CONFIG."""
    for name in ("lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "status").touch()
    chosen = {
        "Dir": f"{root}/",
        "Dir::Etc": f"{root}/etc/",
        "Dir::State": f"{root}/",
        "Dir::State::status": f"{root}/status",
        "Dir::State::lists": f"{root}/lists",
        "Dir::Cache": f"{root}/cache",
        "APT::Architecture": arch.name,
        "APT::Architectures": arch.name,
        # The lab reads the lists itself: apt's own cache of them would cost 40 MB and a second for each suite.
        "pkgCacheFile::Generate": "false",
        # Without it a failed update with old lists at hand is a success to apt.
        "APT::Update::Error-Mode": "any",
        # A list is 45 to 65 MB of text; compressed as it came it is a sixth of that.
        "Acquire::GzipIndexes": "true",
        # Else apt packs it again as lz4, which Python cannot read.
        "Acquire::IndexTargets::deb::Packages::KeepCompressedAs": "xz gz",
        **options(settings),
    }
    _write(root / "etc" / "sources.list", line + "\n")
    return _write(root / "apt.conf", render(chosen))


def user() -> str:
    """The name apt is told to stay; empty (apt then changes nothing) for a user without a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def is_unreachable(error: LabError) -> bool:
    """Did a program of apt's fail only because the archive could not be reached?

    Anything that smells of a wrong signature or hash is not that, nor is anything unknown: going on with old lists
    is for an archive that is silent, never for one that lies.
    """
    if not isinstance(error, ProgramFailedError):
        return False
    # apt also calls a repository unsigned when a proxy or a server refused to hand over its InRelease.
    refused = _REFUSED.search(error.output) is not None
    if any(word in error.output for word in _UNTRUSTED) or (_UNSIGNED in error.output and not refused):
        return False
    if _EXPIRED in error.output:
        return False
    return any(word in error.output for word in _UNREACHABLE) or _STATUS.search(error.output) is not None


def is_gone(error: ProgramFailedError) -> bool:
    """Did apt's helper fail because the archive has no such file (any more)?"""
    return _GONE.search(error.output) is not None


def archive_error(error: ProgramFailedError, name: str, uri: str, log: Path | None = None) -> ArchiveError:
    """What a failed apt or mmdebstrap said about an archive, in one sentence."""
    if is_unreachable(error):
        return UnavailableError(
            f"the archive of {name} at {uri} cannot be reached",
            hint="check the network and LAB_MIRROR / LAB_SECURITY_MIRROR, then run again",
            log=log,
        )
    # Errors before warnings, each in apt's order.
    said = sorted((line for line in error.output.splitlines() if line.startswith(("E: ", "W: "))), key=lambda s: s[0])
    reason = said[0][3:] if said else "apt did not say why"
    if _EXPIRED in error.output and not any(word in error.output for word in (*_UNTRUSTED, _UNSIGNED)):
        hint = "a frozen mirror or a snapshot: set LAB_ALLOW_EXPIRED=1 to take it, the signature is still checked"
        return UnavailableError(f"the archive of {name} is out of date: {reason}", hint=hint, log=log)
    hint = "if the address is right, its data were changed or are half updated: try again later or another mirror"
    return ArchiveError(f"the archive of {name} was refused: {reason}", hint=hint, log=log)


def _host_options() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in process.run(["apt-config", "dump"], deadline=30).text.splitlines():
        name, _, value = line.partition(" ")
        if _TRANSPORT.match(line) or name in _WAIVERS:
            found[name] = value.strip('";')
    return found


def _is_false(value: str) -> bool:
    return value.lower() in ("false", "no", "0", "off", "without", "disable")


def _write(path: Path, text: str) -> Path:
    """Write only what changed: another process may be reading it."""
    if not path.exists() or path.read_text() != text:
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_text(text)
        part.rename(path)
    return path
