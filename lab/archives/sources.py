"""Where Debian's archive is: the user's setting, else the host's own apt configuration, else the shipped templates."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from debian.deb822 import Deb822

from lab import process
from lab.errors import HostError, RequestError
from lab.settings import Settings

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TEMPLATE = Path("/usr/share/python-apt/templates/Debian.info")

# Every suite with kernels; of one version in several suites the lab takes the one that stands first here.
SUITES = (
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-security",
    "bookworm-backports",
    "trixie",
    "trixie-security",
    "trixie-backports",
    "forky",
    "sid",
    "experimental",
)

_SECURITY = "-security"
_BACKPORTS = "-backports"


@dataclass(frozen=True)
class Suite:
    """One suite of one archive: all that apt has to know."""

    name: str
    uri: str
    keyring: Path
    components: tuple[str, ...] = ("main",)

    def line(self) -> str:
        """The suite as a line of sources.list."""
        return f"deb [signed-by={self.keyring}] {self.uri} {self.name} {' '.join(self.components)}"


class Sources:
    """Finds the address of every suite. `keyring` and `template` are Debian's own unless a test brings others."""

    def __init__(self, settings: Settings, *, keyring: Path = KEYRING, template: Path = TEMPLATE) -> None:
        self._settings = settings
        self._keyring = keyring
        self._template = template

    def suite(self, name: str) -> Suite:
        """The suite of that name; HostError when its address or the archive's keyring cannot be found."""
        if not self._keyring.is_file():
            raise HostError(
                f"the archive's keyring {self._keyring} is not there", hint="apt-get install debian-archive-keyring"
            )
        uri = self._security if name.endswith(_SECURITY) else self._main
        return Suite(name, uri.rstrip("/"), self._keyring)

    def family(self, name: str) -> tuple[Suite, ...]:
        """All suites that packages of suite `name` may depend on, that suite first."""
        return tuple(self.suite(member) for member in family_names(name))

    @cached_property
    def _main(self) -> str:
        return self._settings.mirror or self._host.get("main") or self._from_template("{series}")

    @cached_property
    def _security(self) -> str:
        return self._settings.security_mirror or self._host.get("security") or self._from_template("{series}-security")

    @cached_property
    def _host(self) -> dict[str, str]:
        """The addresses in the host's own apt configuration, by "main" and "security"; none on other distributions."""
        if _distribution() != "debian":
            return {}
        # With its lists apt knows every archive's Origin, and takes half a second: only when it is needed.
        with tempfile.TemporaryDirectory() as empty:
            found = host_addresses(_host_targets("--no-release-info", "-o", f"Dir::State::lists={empty}"))
        if any(len(addresses) > 1 for addresses in found.values()):
            found = host_addresses(_host_targets())
        return {role: addresses[0] for role, addresses in found.items()}

    def _from_template(self, suite: str) -> str:
        try:
            text = self._template.read_text()
        except OSError as error:
            raise HostError(
                "the address of Debian's archive is not known on this host",
                hint="apt-get install python-apt-common, or set LAB_MIRROR and LAB_SECURITY_MIRROR",
            ) from error
        address = template_address(text, suite)
        if not address:
            raise HostError(f"{self._template} names no address for {suite}", hint="set LAB_MIRROR")
        return address


def family_names(name: str) -> tuple[str, ...]:
    """The names of the suites that packages of suite `name` may need, that suite first."""
    if name.endswith(_SECURITY):
        return (name, name.removesuffix(_SECURITY))
    if name.endswith(_BACKPORTS):
        base = name.removesuffix(_BACKPORTS)
        return (name, base, base + _SECURITY)
    # Debian's release notes: experimental is no whole suite, what is not in it comes from sid.
    return (name, "sid") if name == "experimental" else (name,)


def compilers_suite(name: str) -> str:
    """The suite whose compilers the kernels of suite `name` were built with: its own release."""
    for part in (_SECURITY, _BACKPORTS, "-updates"):
        name = name.removesuffix(part)
    return "sid" if name == "experimental" else name


def host_addresses(targets: str) -> dict[str, list[str]]:
    """The candidates for "main" and "security" in `apt-get indextargets`, best first.

    A line of `targets` is ORIGIN|COMPONENT|RELEASE|REPO_URI. Third parties use Debian's suite names too; an archive's
    Origin tells them apart, where its lists are there (apt leaves the placeholder where they are not).
    """
    rows = [row.split("|") for row in targets.splitlines() if row.count("|") == 3]
    rows.sort(key=lambda row: row[0] != "Debian")
    found: dict[str, list[str]] = {}
    for origin, component, release, uri in rows:
        if component != "main" or origin not in ("Debian", "$(ORIGIN)"):
            continue
        if "/" in release or ("-" in release and not release.endswith(_SECURITY)):
            continue
        addresses = found.setdefault("security" if release.endswith(_SECURITY) else "main", [])
        if (address := _first_mirror(uri)) not in addresses:
            addresses.append(address)
    return found


def _host_targets(*options: str) -> str:
    form = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"
    argv = [process.which("apt-get", package="apt"), *options, "indextargets", "--format", form, "Created-By: Packages"]
    return process.run(argv, deadline=60).text


def template_address(text: str, suite: str) -> str:
    """The BaseURI of the first stanza for `suite` ("{series}", "{series}-security") in a python-apt template."""
    for stanza in text.split("\n\n"):
        fields = Deb822(stanza.strip())
        if fields.get("Suite") == suite and fields.get("BaseURI"):
            return str(fields["BaseURI"])
    return ""


def check_name(name: str) -> str:
    """`name` when it is a suite the lab reads; RequestError lists those."""
    if name not in SUITES:
        raise RequestError(f"unknown suite {name!r}", hint=f"choose one of: {', '.join(SUITES)}")
    return name


def _first_mirror(uri: str) -> str:
    """Cloud images list their mirrors in a file (apt-transport-mirror(1)); the first is as good as any."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path(uri.removeprefix("mirror+file:").rstrip("/")).read_text().splitlines()
    words = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return words[0] if words else uri


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("ID", "")
    except OSError:
        return ""
