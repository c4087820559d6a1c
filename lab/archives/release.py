"""What an archive says of itself in InRelease: who signed it and how long it is good for."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from lab import process
from lab.errors import ArchiveError

_HEADER_BYTES = 8192  # the dates stand in the first lines, before the long list of files


def valid_until(path: Path) -> datetime | None:
    """The Valid-Until of an InRelease; None when it has none, as released Debian suites do."""
    value = _field(path, "Valid-Until")
    if not value:
        return None
    date = parsedate_to_datetime(value)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def suite_of(path: Path) -> str:
    """The name of the suite whose InRelease that is."""
    return _field(path, "Codename") or _field(path, "Suite") or path.name


def _field(path: Path, wanted: str) -> str:
    with path.open("rb") as stream:
        header = stream.read(_HEADER_BYTES).decode(errors="replace")
    for line in header.splitlines():
        name, _, value = line.partition(": ")
        if name == wanted:
            return value.strip()
    return ""


def expiry_notice(path: Path, suite: str, now: datetime | None = None) -> str:
    """The warning for a suite whose Release is past its date, or an empty string."""
    until = valid_until(path)
    if until is None or until >= (now or datetime.now(UTC)):
        return ""
    return f"{suite}: its Release file is past its Valid-Until ({until:%Y-%m-%d}); taken, its signature is good"


def signer(path: Path, keyring: Path) -> str:
    """The fingerprint of the primary key whose good signature is on an InRelease.

    gpgv's status lines, not its exit status, decide: Debian signs with several keys, and a keyring may lack one
    (gnupg's doc/DETAILS: VALIDSIG ends with the primary key's fingerprint). Raises ArchiveError without a good one.
    """
    gpgv = process.which("gpgv")
    done = process.run([gpgv, "--keyring", keyring, "--status-fd", "1", path], deadline=60, check=False)
    found = ""
    for line in done.stdout.decode(errors="replace").splitlines():
        words = line.split()
        if words[:2] == ["[GNUPG:]", "BADSIG"]:
            raise ArchiveError(f"{path.name} has a bad signature", hint="remove it, then run again")
        if words[:2] == ["[GNUPG:]", "VALIDSIG"] and not found:
            found = words[-1]
    if not found:
        raise ArchiveError(f"{path.name} is signed by no key of {keyring}", hint="update the keyring's package")
    return found
