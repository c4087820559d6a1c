"""The keyring of a distribution that the host is not: a signed package of one that it trusts, kept in the store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from debian.debian_support import Version

from lab import arches
from lab.archives.aptroot import AptRoot
from lab.archives.debs import unpack_deb
from lab.archives.suites import Distribution, Suite
from lab.errors import ArchiveError
from lab.settings import Settings
from lab.store import Store


def fetch(distribution: Distribution, suite: Suite, settings: Settings) -> Path:
    """The keyring of `distribution`, out of its package in `suite` of another one.

    ArchiveError when that suite cannot be read or lacks the package.
    """
    store = Store(settings.store, min_free_mib=settings.min_free_mib)
    root = AptRoot(suite, arches.host(), store, settings, lambda _: None)
    if not root.is_fresh():
        root.refresh()
    name = distribution.keyring_package
    found = [package for package in root.packages(name) if package.name == name]
    if not found:
        what = f"{suite.name} has no {name}, with which {distribution.title}'s kernels are checked"
        raise ArchiveError(what, hint="set LAB_UBUNTU_KEYRING to a keyring with the archive's keys")
    package = max(found, key=lambda package: Version(package.version))
    inputs = {"package": package.name, "version": package.version, "sha256": package.sha256}

    def fill(folder: Path) -> dict[str, Any]:
        deb = root.download(package, folder)
        unpacked = folder / "unpacked"
        unpack_deb(deb, unpacked)
        keyring = unpacked / distribution.keyring.relative_to("/")
        if not keyring.is_file():
            what = f"{name} {package.version} holds no {distribution.keyring.name}"
            raise ArchiveError(what, hint="set LAB_UBUNTU_KEYRING to a keyring with the archive's keys")
        shutil.copy(keyring, folder / distribution.keyring.name)
        shutil.rmtree(unpacked)
        deb.unlink()
        return {**inputs, "suite": suite.name, "signed_by": root.signed_by()}

    return store.get("keyring", inputs, fill).files / distribution.keyring.name
