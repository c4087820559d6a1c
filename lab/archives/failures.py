"""What it means when apt or mmdebstrap failed: an archive that is silent, one that is half updated, one that lies."""

from __future__ import annotations

import re
from pathlib import Path

from lab.archives.stanzas import Package
from lab.archives.suites import DEBIAN, UBUNTU, Suite, distribution_of
from lab.errors import ArchiveError, LabError
from lab.process import ProgramFailedError

# apt has no status for these; the words are those of apt 2.2 to 3.1 with LC_ALL=C.
_UNTRUSTED = (
    "GPG error",
    "NO_PUBKEY",
    "BADSIG",
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
    "Undetermined Error",  # the connection was closed in the middle of a file
    "Network is unreachable",
    "File not found",
)
_NO_SUITE = ("does not have a Release file", "no longer has a Release file")
_EXPIRED = "is expired"
_UNSIGNED = "is not signed"
_REFUSED = re.compile(r"Failed to fetch \S+/InRelease  [45]\d\d ")
_STATUS = re.compile(r"\b[45]\d\d  \S")  # apt prints "404  Not Found [IP: ...]"
_GONE = re.compile(r"Failed to fetch \S+  (?:404|410) ")
_FETCH = re.compile(r"Failed to fetch (\S+)  (.+?)(?: \[IP: [^\]]*\])?$", re.MULTILINE)
_MISMATCH = ("File has unexpected size", "Hash Sum mismatch")


class UnavailableError(ArchiveError):
    """An archive was silent, half updated or out of date: the lab may go on without it, or with what it said before.

    A lying archive is never this: one whose signature is wrong or not there.
    """


class HalfUpdatedError(UnavailableError):
    """An archive's lists are not those that its signed InRelease names: so while a mirror is updated."""


class ExpiredError(UnavailableError):
    """An archive is past its Valid-Until: what it said before is not better."""


class GoneError(ArchiveError):
    """An archive lists a package and does not have its file."""


def archive_error(error: LabError, name: str, uri: str, log: Path | None = None) -> ArchiveError:
    """What a failed apt or mmdebstrap said about the archive of suite `name`, in one sentence.

    Anything that smells of a wrong signature is a refusal, and so is anything unknown.
    """
    output = error.output if isinstance(error, ProgramFailedError) else ""
    # apt also calls a repository unsigned when a proxy or a server refused to hand over its InRelease.
    unsigned = _UNSIGNED in output and _REFUSED.search(output) is None
    if any(word in output for word in _UNTRUSTED) or unsigned:
        return _refused(name, output, log)
    if _EXPIRED in output:
        hint = "a frozen mirror or a snapshot: set LAB_ALLOW_EXPIRED=1 to take it, the signature is still checked"
        return ExpiredError(f"the archive of {name} is out of date: {_said(output)}", hint=hint, log=log)
    if not isinstance(error, ProgramFailedError):  # its deadline passed
        return _silent(name, uri, error.what, log)
    return _mismatch(name, uri, output, log) or _silence(name, uri, output, log) or _refused(name, output, log)


def is_gone(error: LabError) -> bool:
    """Did the archive answer that it has no such file?"""
    return isinstance(error, ProgramFailedError) and _GONE.search(error.output) is not None


def package_error(error: LabError, package: Package, suite: Suite) -> ArchiveError:
    """What a failed download of a package said; GoneError when the archive has no such file."""
    output = error.output if isinstance(error, ProgramFailedError) else ""
    what = f"{package.name} {package.version}"
    if is_gone(error):
        return GoneError(
            f"{suite.name} lists {what} and does not have its file",
            hint="it is being updated, or lost it: try later, or another mirror or kernel (lab kernel list)",
        )
    if any(word in output for word in _MISMATCH):
        return ArchiveError(
            f"{what} was refused: it is not the file that {suite.name} lists (its hash differs)",
            hint="something between here and the archive changes files, or a proxy has an old one: try another mirror",
        )
    return archive_error(error, suite.name, suite.uri)


def _mismatch(name: str, uri: str, output: str, log: Path | None) -> ArchiveError | None:
    """An index that is not the one its signed InRelease names: mirrors are so while they are updated. A package that
    is not the listed one is no such thing."""
    wrong = [found for found in _FETCH.findall(output) if found[1].startswith(_MISMATCH)]
    if not wrong:
        return None
    file, reason = wrong[0]
    if all("/dists/" in address for address, _ in wrong):
        reason = reason.removesuffix(" Mirror sync in progress?").rstrip(".")
        what = f"the archive of {name} at {uri} is half updated ({reason})"
        return HalfUpdatedError(what, hint="try again later, or another mirror", log=log)
    return ArchiveError(f"{Path(file).name} was refused: {reason}", hint="try another mirror", log=log)


def _silence(name: str, uri: str, output: str, log: Path | None) -> UnavailableError | None:
    if any(word in output for word in _NO_SUITE):
        return UnavailableError(f"the archive of {name} at {uri} has no such suite", hint=_hint(name), log=log)
    if not any(word in output for word in _UNREACHABLE) and not _STATUS.search(output):
        return None
    fetched = _FETCH.search(output)
    return _silent(name, uri, fetched[2] if fetched else "", log)


def _silent(name: str, uri: str, reason: str, log: Path | None) -> UnavailableError:
    why = f" ({reason})" if reason else ""
    return UnavailableError(f"the archive of {name} at {uri} cannot be reached{why}", hint=_hint(name), log=log)


def _refused(name: str, output: str, log: Path | None) -> ArchiveError:
    hint = "if the address is right, its data were changed: try again later or another mirror"
    return ArchiveError(f"the archive of {name} was refused: {_said(output)}", hint=hint, log=log)


def _said(output: str) -> str:
    """Its first complaint: errors before warnings, each in apt's order."""
    said = sorted((line for line in output.splitlines() if line.startswith(("E: ", "W: "))), key=lambda s: s[0])
    return said[0][3:] if said else "apt did not say why"


def _hint(name: str) -> str:
    words = {DEBIAN: "LAB_MIRROR / LAB_SECURITY_MIRROR", UBUNTU: "LAB_UBUNTU_MIRROR / LAB_UBUNTU_PORTS_MIRROR"}
    return f"check the network and {words[distribution_of(name)]}, then run again"
