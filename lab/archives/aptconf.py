"""The configuration of the lab's private apt: nothing of the host's but how it reaches archives and what it waives."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from lab import process
from lab.arches import Arch
from lab.archives.failures import UnavailableError
from lab.settings import Settings

# How the host's administrator lets apt out: proxies, certificates, time limits. Everything else stays behind.
_TRANSPORT = re.compile(r'^(Acquire::(?:http|https|ftp)::\S+) "(.*)";$')
_WAIVERS = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")


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
        # The host may be slow; an archive that does not answer must still not stop a run for minutes: apt asks a
        # silent one twice in each of its three tries.
        "Acquire::http::Timeout": "10",
        "Acquire::https::Timeout": "10",
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
