"""What the host's own apt configuration says about its distribution's archives."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path

from lab import process
from lab.archives.suites import SECURITY


def distribution() -> str:
    """The host's distribution, by the ID of its os-release; empty when it does not say."""
    try:
        return platform.freedesktop_os_release().get("ID", "")
    except OSError:
        return ""


def addresses(origin: str) -> dict[str, str]:
    """The addresses of the distribution that signs as `origin` ("Debian"), by "main" and "security"."""
    # With its lists apt knows every archive's Origin, and takes half a second: only when it is needed.
    with tempfile.TemporaryDirectory() as empty:
        found = candidates(_targets("--no-release-info", "-o", f"Dir::State::lists={empty}"), origin)
    if any(len(known) > 1 for known in found.values()):
        found = candidates(_targets(), origin)
    return {role: known[0] for role, known in found.items()}


def candidates(targets: str, wanted: str) -> dict[str, list[str]]:
    """The candidates for "main" and "security" in `apt-get indextargets`, best first.

    A line of `targets` is ORIGIN|COMPONENT|RELEASE|REPO_URI. Third parties use a distribution's suite names too; an
    archive's Origin tells them apart, where its lists are there (apt leaves the placeholder where they are not).
    """
    rows = [row.split("|") for row in targets.splitlines() if row.count("|") == 3]
    rows.sort(key=lambda row: row[0] != wanted)
    found: dict[str, list[str]] = {}
    for origin, component, release, uri in rows:
        if component != "main" or origin not in (wanted, "$(ORIGIN)"):
            continue
        if "/" in release or ("-" in release and not release.endswith(SECURITY)):
            continue
        known = found.setdefault("security" if release.endswith(SECURITY) else "main", [])
        if (address := _first_mirror(uri)) not in known:
            known.append(address)
    return found


def _targets(*options: str) -> str:
    form = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"
    argv = [process.which("apt-get", package="apt"), *options, "indextargets", "--format", form, "Created-By: Packages"]
    return process.run(argv, deadline=60).text


def _first_mirror(uri: str) -> str:
    """Cloud images list their mirrors in a file (apt-transport-mirror(1)); the first is as good as any."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path(uri.removeprefix("mirror+file:").rstrip("/")).read_text().splitlines()
    words = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return words[0] if words else uri
