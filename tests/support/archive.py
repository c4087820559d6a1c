"""A small archive as Debian and Ubuntu have them, real to apt: packages built by dpkg-deb, indices, a signature."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab import process

_DATE = "%a, %d %b %Y %H:%M:%S UTC"


@dataclass(frozen=True)
class Key:
    """A throwaway signing key: its GNUPGHOME, its fingerprint and its public half as a keyring."""

    home: Path
    fingerprint: str
    keyring: Path


@contextmanager
def signing_key() -> Iterator[Key]:
    """A new key in a home of its own; fails plainly on a host without gpg."""
    gpg = process.which("gpg")
    # Not below pytest's folder: the agent's socket must fit into 108 bytes.
    home = Path(tempfile.mkdtemp(prefix="lab-gpg-"))
    try:
        common: list[str | Path] = [gpg, "--homedir", home, "--batch"]
        process.run([*common, "--passphrase", "", "--quick-generate-key", "Lab test", "ed25519", "sign"], deadline=60)
        listing = process.run([*common, "--with-colons", "--list-keys"], deadline=60).text
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        keyring = home / "archive.gpg"
        keyring.write_bytes(process.run([*common, "--export"], deadline=60).stdout)
        home.chmod(0o755)  # apt's methods may run as another user
        keyring.chmod(0o644)
        yield Key(home, fingerprint, keyring)
    finally:
        process.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], deadline=60, check=False)
        shutil.rmtree(home, ignore_errors=True)


@dataclass
class Archive:
    """An archive below `root`: `add` packages, `publish` suites; tests.support.server serves it.

    Ubuntu's has indices by their hash too, and signs no date until which it is good.
    """

    root: Path
    key: Key
    arch: str = "amd64"
    origin: str = "Debian"
    components: tuple[str, ...] = ("main",)
    packing: str = "xz"
    by_hash: bool = False
    _stanzas: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(
        self,
        suite: str,
        name: str,
        version: str,
        files: Mapping[str, str | Path],
        depends: str = "",
        *,
        arch: str = "",
        component: str = "main",
    ) -> Path:
        """Build a package and list it in `suite`; the next publish makes that known. Returns its file.

        `files` are texts, or files and folders to copy, by their place in the package.
        """
        arch = arch or self.arch
        tree = self.root / "build" / f"{name}_{version}"
        control = f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n"
        control += "Maintainer: Lab <lab@localhost>\nDescription: made for a test\n"
        control += f"Depends: {depends}\n" if depends else ""
        for place, content in {"DEBIAN/control": control, **files}.items():
            _put(content, tree / place)
        deb = self.root / "pool" / f"{name}_{version}_{arch}.deb"
        deb.parent.mkdir(parents=True, exist_ok=True)
        # With all its times clamped the same files are the same package, today and tomorrow.
        argv: list[str | Path] = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, deb]
        process.run(argv, deadline=120, env={"SOURCE_DATE_EPOCH": "0"})
        shutil.rmtree(tree)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        listed = f"Filename: pool/{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
        self._stanzas.setdefault((suite, component), []).append(control + listed)
        return deb

    def drop(self, suite: str, name: str) -> None:
        """List a package no more from the next publish on."""
        for listed in (stanzas for (place, _), stanzas in self._stanzas.items() if place == suite):
            listed[:] = [stanza for stanza in listed if not stanza.startswith(f"Package: {name}\n")]

    def publish(self, *suites: str, key: Key | None = None, valid_for: timedelta | None = None) -> None:
        """Write and sign the indices of every suite; `valid_for` from now, negative for one that is past its date."""
        for suite in suites:
            files: dict[str, bytes] = {}
            for component in self.components:
                index = self.index(suite, component)
                plain = "\n".join(self._stanzas.get((suite, component), [])).encode()
                packed = lzma.compress(plain) if self.packing == "xz" else gzip.compress(plain)
                self._write(index, packed)
                name = str(index.relative_to(self._suite(suite)))
                # apt wants the unpacked file's hash too, and never asks for the file.
                files |= {name: packed, name.removesuffix(f".{self.packing}"): plain}
            argv: list[str | Path] = ["gpg", "--homedir", (key or self.key).home, "--batch", "--clearsign"]
            release = self._release(suite, files, valid_for).encode()
            (self._suite(suite) / "InRelease").write_bytes(process.run(argv, deadline=60, stdin=release).stdout)

    def index(self, suite: str, component: str = "main") -> Path:
        """The file that lists a suite's packages."""
        return self._suite(suite) / component / f"binary-{self.arch}" / f"Packages.{self.packing}"

    def _suite(self, suite: str) -> Path:
        return self.root / "dists" / suite

    def _write(self, index: Path, packed: bytes) -> None:
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_bytes(packed)
        if self.by_hash:
            copy = index.parent / "by-hash" / "SHA256" / hashlib.sha256(packed).hexdigest()
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(packed)

    def _release(self, suite: str, files: Mapping[str, bytes], valid_for: timedelta | None) -> str:
        now = datetime.now(UTC)
        dated = now - timedelta(days=1) + min(valid_for or timedelta(), timedelta())
        lines = [
            f"Origin: {self.origin}",
            f"Suite: {suite}",
            f"Codename: {suite}",
            f"Date: {dated.strftime(_DATE)}",
            *([f"Valid-Until: {(now + valid_for).strftime(_DATE)}"] if valid_for else []),
            f"Architectures: {self.arch}",
            f"Components: {' '.join(self.components)}",
            *(["Acquire-By-Hash: yes"] if self.by_hash else []),
            "SHA256:",
            *(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}" for name, content in files.items()),
        ]
        return "\n".join(lines) + "\n"


def _put(content: str | Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        place.write_text(content)
    elif content.is_dir():
        shutil.copytree(content, place, symlinks=True)
    else:
        shutil.copy(content, place)
