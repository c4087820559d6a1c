"""A resolved kernel, whatever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab.arches import Arch
from lab.archives.stanzas import Package


@dataclass(frozen=True)
class HeaderPackages:
    """What a driver is compiled against, as packages of an archive that are fetched when something is compiled.

    `packages` hold the build tree, of the kernel's architecture; `kbuild` names the package (of the host's) with
    kbuild's own programs, and the version it must have, empty where the newest will do; no name where the packages
    hold them themselves. `suite` is where all of them are, `compiler` the kernel's own ("gcc-14").
    """

    packages: tuple[Package, ...]
    kbuild: tuple[str, str]
    suite: str
    compiler: str
    tree: str  # what `make -C` is given, below /usr/src
    kbuild_package: Package | None = None  # the very package, where lab.lock names it


@dataclass(frozen=True)
class LocalTree:
    """What a driver is compiled against, as a folder of the user's or of an image: `make -C folder`.

    `compiler` is the one that the kernel says it was built with ("gcc-12"), empty where it does not say.
    """

    folder: Path
    compiler: str
    key: str  # changes with whatever would change a build


@dataclass(frozen=True)
class Kernel:
    """A kernel whose files are there.

    `headers` is what drivers are compiled against; None when there is nothing, and `no_headers` is then the reason,
    as a sentence. `modules` is None where all is built in, `config` where none was found. `provenance` says what it is
    and where it came from: for an archive package, version, sha256, suite, archive, signed_by (a key's fingerprint).
    """

    request: str  # as asked, as a slug: it goes into test ids and file names
    exact: str  # the request that means this very kernel, tomorrow too
    release: str  # as uname -r says it
    version: str  # the package's; a digest where there is no package
    series: str
    arch: Arch
    flavour: str
    origin: str  # debian:trixie-security, ubuntu:jammy-updates, path, oci
    image: Path
    modules: Path | None  # .../lib/modules/<release>
    config: Path | None
    headers: HeaderPackages | LocalTree | None
    no_headers: str
    key: str
    provenance: dict[str, Any]

    def option(self, name: str) -> str | None:
        """The value of CONFIG_`name`: "y", "m", a number or a string; None when it is not set or nobody knows."""
        prefix = f"CONFIG_{name.removeprefix('CONFIG_')}="
        if self.config is None:
            return None
        for line in self.config.read_text(errors="replace").splitlines():
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip('"')
        return None


class Choice(Protocol):
    """The kernel that a request means, before its files are there."""

    @property
    def release(self) -> str:
        """As uname -r will say it; the request itself where only the files tell."""

    @property
    def version(self) -> str:
        """The package's, or what names the bits otherwise."""

    @property
    def origin(self) -> str:
        """As in `Kernel`."""

    def fetch(self) -> Kernel:
        """Its files, from the store or else from where they are: downloaded, verified, unpacked."""


class Provider(Protocol):
    """Kernels that come from no archive."""

    def resolve(self, text: str, arch: Arch) -> Choice:
        """The kernel that a request means; RequestError, or ArchiveError where that cannot be known now."""
