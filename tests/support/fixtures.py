"""Fixtures around the test archives, for the folders that need them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lab.arches import AMD64, Arch
from lab.archives.sources import Sources
from lab.archives.suites import DEBIAN, UBUNTU
from lab.kernels.archive.provider import ArchiveChoice
from lab.kernels.resolve import KernelSource
from lab.settings import Settings
from lab.store import Store
from tests.support.archive import Archive, Key, signing_key
from tests.support.server import Served, serve

SUITES = ("trixie", "trixie-security")
UBUNTU_SUITES = ("focal-updates", "jammy", "jammy-updates")
DISTRIBUTIONS = (replace(DEBIAN, suites=SUITES), replace(UBUNTU, suites=UBUNTU_SUITES))


@dataclass
class Bench:
    """Served archives with a store beside them; `notices` is what the user was told."""

    archive: Archive
    ubuntu: Archive
    ports: Archive
    key: Key
    served: Served
    store: Store
    folder: Path
    notices: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.served.url}/debian"

    def settings(self, *, url: str = "", allow_expired: bool = False, catalog_hours: float = 0) -> Settings:
        """Settings that ask the archives every time; `url` in place of the served Debian."""
        return Settings(
            store=self.store.root,
            mirror=url or self.url,
            security_mirror=url or self.url,
            ubuntu_mirror=f"{self.served.url}/ubuntu",
            ubuntu_ports_mirror=f"{self.served.url}/ubuntu-ports",
            ubuntu_keyring=self.key.keyring,
            allow_expired=allow_expired,
            catalog_hours=catalog_hours,
        )

    def sources(self, settings: Settings) -> Sources:
        return Sources(settings, keyring=self.key.keyring)

    def kernels(self, settings: Settings | None = None) -> KernelSource:
        chosen = settings or self.settings()
        sources = self.sources(chosen)
        return KernelSource(self.store, chosen, self.notices.append, sources=sources, distributions=DISTRIBUTIONS)

    def resolve(self, text: str, arch: Arch = AMD64, settings: Settings | None = None) -> ArchiveChoice:
        """What a request means, when an archive has it."""
        choice = self.kernels(settings).resolve(text, arch)
        assert isinstance(choice, ArchiveChoice)
        return choice

    def packages_asked(self) -> list[str]:
        """The names of the packages' files that were asked for, in order."""
        return [path.rpartition("/")[2] for path in self.served.asked if path.endswith(".deb")]


@pytest.fixture(scope="session")
def key() -> Iterator[Key]:
    with signing_key() as made:
        yield made


@pytest.fixture
def bench(key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # The host's own apt configuration (proxies, what it waives) must not decide a test, and none shall wait for long.
    config = tmp_path / "host-apt.conf"
    config.write_text('Dir::Etc::main "/dev/null";\nDir::Etc::parts "/dev/null";\nAcquire::http::Timeout "1";\n')
    monkeypatch.setenv("APT_CONFIG", str(config))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "archives"
    ubuntu, ports = (
        Archive(root / name, key, arch, "Ubuntu", ("main", "universe"), packing="gz", by_hash=True)
        for name, arch in (("ubuntu", "amd64"), ("ubuntu-ports", "arm64"))
    )
    with serve(root) as served:
        made = Bench(Archive(root / "debian", key), ubuntu, ports, key, served, Store(tmp_path / "store"), tmp_path)
        made.store = Store(tmp_path / "store", notice=made.notices.append)
        yield made
