"""Fixtures around the test archive, for the folders that need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.archives.sources import Sources
from lab.kernels.resolve import KernelSource
from lab.settings import Settings
from lab.store import Store
from tests.support.archive import Archive, Key, signing_key

SUITES = ("trixie", "trixie-security")


@dataclass
class Bench:
    """A served archive with a store beside it; `notices` is what the user was told."""

    archive: Archive
    key: Key
    url: str
    store: Store
    folder: Path
    notices: list[str] = field(default_factory=list)

    def settings(self, *, url: str = "", allow_expired: bool = False) -> Settings:
        """Settings that ask the archive every time; `url` in place of the served one."""
        return Settings(
            store=self.store.root,
            mirror=url or self.url,
            security_mirror=url or self.url,
            allow_expired=allow_expired,
            catalog_hours=0,
        )

    def sources(self, settings: Settings) -> Sources:
        return Sources(settings, keyring=self.key.keyring)

    def kernels(self, settings: Settings | None = None) -> KernelSource:
        chosen = settings or self.settings()
        return KernelSource(self.store, chosen, self.notices.append, sources=self.sources(chosen), suites=SUITES)


@pytest.fixture(scope="session")
def key() -> Iterator[Key]:
    with signing_key() as made:
        yield made


@pytest.fixture
def bench(key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # The host's own apt configuration (proxies, what it waives) must not decide a test.
    config = tmp_path / "host-apt.conf"
    config.write_text('Dir::Etc::main "/dev/null";\nDir::Etc::parts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(config))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    archive = Archive(tmp_path / "archive", key)
    with archive.serve() as url:
        made = Bench(archive, key, url, Store(tmp_path / "store"), tmp_path)
        made.store = Store(tmp_path / "store", notice=made.notices.append)
        yield made
