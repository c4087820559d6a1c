"""Where archives are: the user's setting, else the host's own apt configuration, else the shipped templates."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from debian.deb822 import Deb822

from lab import arches
from lab.arches import AMD64, Arch
from lab.archives import hostapt, keyrings
from lab.archives.suites import DEBIAN, SECURITY, UBUNTU, Distribution, Suite, distribution_of, family_names
from lab.errors import HostError
from lab.settings import Settings

TEMPLATES = Path("/usr/share/python-apt/templates")
# Where Ubuntu's keyring comes from on a host that lacks it: the first Debian release that has the package.
_KEYRING_SUITE = "trixie"


class Sources:
    """Finds the address of every suite. `keyring` (Debian's) and `templates` are the host's unless a test brings
    others."""

    def __init__(self, settings: Settings, *, keyring: Path = DEBIAN.keyring, templates: Path = TEMPLATES) -> None:
        self._settings = settings
        self._keyring = keyring
        self._templates = templates

    def suite(self, name: str, arch: Arch | None = None) -> Suite:
        """The suite of that name with what kernels need; HostError when its address or its keyring cannot be found.

        Some architectures have an archive of their own: `arch` is the packages', the host's when it is not given.
        """
        distribution = distribution_of(name)
        return self._suite(distribution, name, arch or arches.host(), distribution.components)

    def family(self, name: str, arch: Arch | None = None) -> tuple[Suite, ...]:
        """All suites that packages of suite `name` may depend on, that suite first, with all that compilers need."""
        distribution = distribution_of(name)
        components = (*distribution.components, *distribution.more_components)
        members = family_names(name)
        return tuple(self._suite(distribution, member, arch or arches.host(), components) for member in members)

    def _suite(self, distribution: Distribution, name: str, arch: Arch, components: tuple[str, ...]) -> Suite:
        keyring = self._ubuntu_keyring if distribution is UBUNTU else self._debian_keyring
        return Suite(name, self._address(distribution, name, arch).rstrip("/"), keyring, components)

    @property
    def _debian_keyring(self) -> Path:
        if not self._keyring.is_file():
            hint = f"apt-get install {DEBIAN.keyring_package}"
            raise HostError(f"the archive's keyring {self._keyring} is not there", hint=hint)
        return self._keyring

    @cached_property
    def _ubuntu_keyring(self) -> Path:
        chosen = self._settings.ubuntu_keyring
        if chosen is not None:
            if not chosen.is_file():
                raise HostError(f"the keyring {chosen} is not there", hint="correct LAB_UBUNTU_KEYRING")
            return chosen
        if UBUNTU.keyring.is_file():
            return UBUNTU.keyring
        return keyrings.fetch(UBUNTU, self.suite(_KEYRING_SUITE), self._settings)

    def _address(self, distribution: Distribution, name: str, arch: Arch) -> str:
        security = name.endswith(SECURITY)
        setting, variable = self._setting(distribution, security, arch)
        if setting:
            return setting
        role = "security" if security else "main"
        # A host knows the archive of its own architecture.
        alike = distribution is DEBIAN or (arch is AMD64) == (arches.host() is AMD64)
        own = self._host_addresses.get(role, "") if alike and hostapt.distribution() == distribution.name else ""
        return own or self._from_template(distribution, "{series}-security" if security else "{series}", arch, variable)

    def _setting(self, distribution: Distribution, security: bool, arch: Arch) -> tuple[str, str]:
        """What the user said, and the variable to say it in."""
        if distribution is DEBIAN:
            if security:
                return self._settings.security_mirror, "LAB_SECURITY_MIRROR"
            return self._settings.mirror, "LAB_MIRROR"
        if arch is AMD64:
            return self._settings.ubuntu_mirror, "LAB_UBUNTU_MIRROR"
        return self._settings.ubuntu_ports_mirror, "LAB_UBUNTU_PORTS_MIRROR"

    @cached_property
    def _host_addresses(self) -> dict[str, str]:
        """The addresses in the host's own apt configuration, by "main" and "security"."""
        names = {distribution.name: distribution.title for distribution in (DEBIAN, UBUNTU)}
        return hostapt.addresses(names[hostapt.distribution()])

    def _from_template(self, distribution: Distribution, suite: str, arch: Arch, variable: str) -> str:
        path = self._templates / distribution.template
        try:
            text = path.read_text()
        except OSError as error:
            raise HostError(
                f"the address of {distribution.title}'s archive is not known on this host",
                hint=f"apt-get install python-apt-common, or set {variable}",
            ) from error
        address = template_address(text, suite, arch.name)
        if not address:
            raise HostError(f"{path} names no address for {suite}", hint=f"set {variable}")
        return address


def template_address(text: str, suite: str, arch: str = "") -> str:
    """The address for `arch` in a python-apt template's first stanza for `suite` ("{series}", "{series}-security").

    BaseURI-ARCH stands for that architecture, BaseURI for all others.
    """
    for stanza in text.split("\n\n"):
        fields = Deb822(stanza.strip())
        if fields.get("Suite") == suite and fields.get("BaseURI"):
            return str(fields.get(f"BaseURI-{arch}") or fields["BaseURI"])
    return ""
