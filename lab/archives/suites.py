"""Distributions and their suites: what apt has to know of each, and how they belong together; pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import RequestError

KEYRINGS = Path("/usr/share/keyrings")

SECURITY = "-security"
_BACKPORTS = "-backports"
_UPDATES = "-updates"


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


@dataclass(frozen=True)
class Distribution:
    """A distribution whose kernels the lab takes.

    `suites` are those with kernels; of one version in several suites the lab takes the one that stands first.
    `aliases` are other names of suites, which are read only when they are asked for: a mirror may be half updated under
    one name and whole under the other. `components` are where its kernels are, `more_components` what compilers need
    beside them. `series` are the kernel series it may have, for a request that names no distribution: empty where each
    request is looked for. `probed` says that its archive is first asked whether it answers at all: many hosts cannot
    reach it.
    """

    name: str
    title: str
    suites: tuple[str, ...]
    keyring: Path
    keyring_package: str
    template: str
    aliases: tuple[tuple[str, str], ...] = ()
    components: tuple[str, ...] = ("main",)
    more_components: tuple[str, ...] = ()
    series: frozenset[str] = frozenset()
    probed: bool = False

    def is_alias(self, suite: str) -> bool:
        """Is that another name of a suite?"""
        return suite in dict(self.aliases)

    def may_have(self, series: str) -> bool:
        """Is it worth while to look for that series here, unasked?"""
        return not self.series or series in self.series


DEBIAN = Distribution(
    name="debian",
    title="Debian",
    suites=(
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
    ),
    keyring=KEYRINGS / "debian-archive-keyring.gpg",
    keyring_package="debian-archive-keyring",
    template="Debian.info",
    # As it is while trixie is Debian's stable release; a table to be moved on with the next.
    aliases=(("oldstable", "bookworm"), ("stable", "trixie"), ("testing", "forky"), ("unstable", "sid")),
)

_RELEASES = ("bionic", "focal", "jammy", "noble")  # the LTS releases, with their HWE kernels
# What these releases had: their first kernel, HWE's and OEM's. A mistyped series shall cost no look into a distant
# archive.
_UBUNTU_SERIES = {
    4: (15, 18),
    5: (0, 3, 4, 6, 8, 10, 11, 13, 14, 15, 17, 19),
    6: (0, 1, 2, 5, 8, 11, 14, 17),
    7: (0,),
}

UBUNTU = Distribution(
    name="ubuntu",
    title="Ubuntu",
    suites=tuple(f"{release}{pocket}" for release in _RELEASES for pocket in ("", _UPDATES, SECURITY)),
    keyring=KEYRINGS / "ubuntu-archive-keyring.gpg",
    keyring_package="ubuntu-keyring",
    template="Ubuntu.info",
    # Kernels, HWE's too, are in main; some cross compilers are not, and universe is the ten times larger list.
    more_components=("universe",),
    series=frozenset(f"{major}.{minor}" for major, minors in _UBUNTU_SERIES.items() for minor in minors),
    probed=True,
)

# In the order in which they are asked for a kernel whose request names no distribution.
DISTRIBUTIONS = (DEBIAN, UBUNTU)

_ORDER = {name: place for place, name in enumerate((*DEBIAN.suites, *UBUNTU.suites))}


def distribution_named(name: str) -> Distribution:
    """The distribution of that name; RequestError lists those that there are."""
    for distribution in DISTRIBUTIONS:
        if distribution.name == name:
            return distribution
    known = ", ".join(distribution.name for distribution in DISTRIBUTIONS)
    raise RequestError(f"unknown distribution {name!r}", hint=f"choose one of: {known}")


def distribution_of(suite: str) -> Distribution:
    """The distribution that a suite belongs to; Debian for one that has no kernels."""
    return UBUNTU if suite in UBUNTU.suites else DEBIAN


def check_name(suite: str, distribution: Distribution) -> str:
    """`suite` when it is one of the distribution's in which the lab looks for kernels; RequestError lists those."""
    if suite not in distribution.suites and not distribution.is_alias(suite):
        what = f"{distribution.title} has no suite {suite!r} in which the lab looks for kernels"
        raise RequestError(what, hint=f"choose one of: {', '.join(distribution.suites)}")
    return suite


def place(suite: str) -> int:
    """Of one version in several suites the one with the lowest place is taken."""
    return _ORDER.get(suite, len(_ORDER))


def family_names(name: str) -> tuple[str, ...]:
    """The names of the suites that packages of suite `name` may need, that suite first."""
    if name.endswith(SECURITY):
        return (name, name.removesuffix(SECURITY))
    for pocket in (_BACKPORTS, _UPDATES):
        if name.endswith(pocket):
            base = name.removesuffix(pocket)
            return (name, base, base + SECURITY)
    # Debian's release notes: experimental is no whole suite, what is not in it comes from sid.
    return (name, "sid") if name == "experimental" else (name,)


def other_name(name: str) -> str:
    """The other name of suite `name` in the archive ("stable" of "trixie", and back); empty when there is none."""
    aliases = dict(DEBIAN.aliases)
    codenames = {codename: alias for alias, codename in aliases.items()}
    return aliases.get(name) or codenames.get(name, "")


def compilers_suite(name: str) -> str:
    """The suite whose compilers the kernels of suite `name` were built with: its own release."""
    for part in (SECURITY, _BACKPORTS, _UPDATES):
        name = name.removesuffix(part)
    return "sid" if name == "experimental" else dict(DEBIAN.aliases).get(name, name)
