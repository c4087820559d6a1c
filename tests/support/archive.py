"""A small Debian archive, real to apt: packages built by dpkg-deb, an index, a signature, served on 127.0.0.1."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

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
    """An archive below `root`: `add` packages, `publish` suites, then `serve`; `asked` is what it was asked for."""

    root: Path
    key: Key
    arch: str = "amd64"
    asked: list[str] = field(default_factory=list)
    _stanzas: dict[str, list[str]] = field(default_factory=dict)

    def add(self, suite: str, name: str, version: str, files: Mapping[str, str], depends: str = "") -> Path:
        """Build a package and list it in `suite`; the next publish makes that known. Returns its file."""
        tree = self.root / "build" / f"{name}_{version}"
        control = f"Package: {name}\nVersion: {version}\nArchitecture: {self.arch}\n"
        control += "Maintainer: Lab <lab@localhost>\nDescription: made for a test\n"
        control += f"Depends: {depends}\n" if depends else ""
        for place, text in {"DEBIAN/control": control, **files}.items():
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            (tree / place).write_text(text)
        deb = self.root / "pool" / f"{name}_{version}_{self.arch}.deb"
        deb.parent.mkdir(parents=True, exist_ok=True)
        process.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], deadline=60)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        listed = f"Filename: pool/{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
        self._stanzas.setdefault(suite, []).append(control + listed)
        return deb

    def add_kernel(self, suite: str, release: str, version: str, *, headers: bool = True, depends: str = "") -> Path:
        """A kernel as Debian packs them up to 6.18, with the files that the lab looks for."""
        files = {
            f"boot/vmlinuz-{release}": f"image of {release}\n",
            f"boot/config-{release}": "CONFIG_BPF=y\nCONFIG_OVERLAY_FS=m\n# CONFIG_KGDB is not set\nCONFIG_HZ=250\n",
            f"usr/lib/modules/{release}/modules.builtin": "",
        }
        if headers:
            common = f"linux-headers-{version}-common"
            needs = f"{common} (= {version}), linux-kbuild-{version}, gcc-14-for-host"
            self.add(
                suite, f"linux-headers-{release}", version, {f"usr/src/linux-headers-{release}/Makefile": ""}, needs
            )
            self.add(suite, common, version, {f"usr/src/{common}/Makefile": ""})
        return self.add(suite, f"linux-image-{release}", version, files, depends)

    def publish(self, *suites: str, key: Key | None = None, valid_for: timedelta | None = None) -> None:
        """Write and sign the index of every suite; `valid_for` from now, negative for one that is past its date."""
        for suite in suites:
            place = self.root / "dists" / suite
            index = f"main/binary-{self.arch}/Packages.xz"
            (place / index).parent.mkdir(parents=True, exist_ok=True)
            plain = "\n".join(self._stanzas.get(suite, [])).encode()
            packed = lzma.compress(plain)
            (place / index).write_bytes(packed)
            # apt wants the unpacked file's hash too, and never asks for the file.
            release = _release(suite, self.arch, {index: packed, index.removesuffix(".xz"): plain}, valid_for)
            argv: list[str | Path] = ["gpg", "--homedir", (key or self.key).home, "--batch", "--clearsign"]
            (place / "InRelease").write_bytes(process.run(argv, deadline=60, stdin=release.encode()).stdout)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve the archive while the block lasts; yields its address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, self.asked, directory=str(self.root)))
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *args: Any, **kwargs: Any) -> None:
        self._asked = asked
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self._asked.append(self.path)
        # A suite that is published twice in one second has the same date and is not the same.
        del self.headers["If-Modified-Since"]
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        pass


def _release(suite: str, arch: str, files: Mapping[str, bytes], valid_for: timedelta | None) -> str:
    now = datetime.now(UTC)
    dated = now - timedelta(days=1) + min(valid_for or timedelta(), timedelta())
    lines = [
        "Origin: Debian",
        f"Suite: {suite}",
        f"Codename: {suite}",
        f"Date: {dated.strftime(_DATE)}",
        *([f"Valid-Until: {(now + valid_for).strftime(_DATE)}"] if valid_for else []),
        f"Architectures: {arch}",
        "Components: main",
        "SHA256:",
        *(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}" for name, content in files.items()),
    ]
    return "\n".join(lines) + "\n"
