"""A container registry, the real one of Debian's package, on a free port of 127.0.0.1, and images to push to it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import requests

from lab import arches, process, settings
from lab.archives.bootstrap import RootRecipe, extract_root
from lab.archives.sources import Sources
from lab.store import Store
from tests.support.wait import until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
_DEADLINE = 20.0


@dataclass(frozen=True)
class Registry:
    """A running registry: `host` with its port, and the folder that it keeps its blobs in."""

    host: str
    folder: Path

    def push(self, name: str, tag: str, layers: Sequence[bytes], arch: str = "amd64") -> str:
        """Push an image; the digest of its manifest."""
        config = json.dumps({"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **self._blob(name, config.encode())},
            "layers": [{"mediaType": LAYER, **self._blob(name, layer)} for layer in layers],
        }
        return self.push_manifest(name, tag, manifest)

    def push_index(self, name: str, tag: str, images: Mapping[str, str]) -> str:
        """Push an index of images that are there (architecture -> digest); its own digest."""
        manifests = [
            {"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": arch}}
            for arch, digest in images.items()
        ]
        return self.push_manifest(name, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})

    def push_manifest(self, name: str, tag: str, manifest: dict[str, Any]) -> str:
        content = json.dumps(manifest).encode()
        address = f"http://{self.host}/v2/{name}/manifests/{tag}"
        kind = {"Content-Type": manifest["mediaType"]}
        requests.put(address, data=content, headers=kind, timeout=_DEADLINE).raise_for_status()
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def stored(self, digest: str) -> Path:
        """The file that the registry keeps a blob or manifest in."""
        name = digest.removeprefix("sha256:")
        return self.folder / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def _blob(self, name: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = requests.post(f"http://{self.host}/v2/{name}/blobs/uploads/", timeout=_DEADLINE)
        begun.raise_for_status()
        done = requests.put(begun.headers["Location"], data=content, params={"digest": digest}, timeout=_DEADLINE)
        done.raise_for_status()
        return {"digest": digest, "size": len(content)}


def _program() -> list[str | Path]:
    """How the registry is started, out of the lab's store: its package, installed, would start a service of its own."""
    chosen, host = settings.load(), arches.host()
    store = Store(chosen.store)

    def fill(folder: Path) -> dict[str, Any]:
        root = folder / "root"
        root.mkdir()
        recipe = RootRecipe((Sources(chosen).suite("trixie"),), ("docker-registry",), host)
        log = folder / "bootstrap.log"
        return {"packages": extract_root(recipe, root, settings=chosen, log=log, notice=lambda _: None)}

    root = store.get("test-registry", {"suite": "trixie", "host": host.name}, fill).files / "root"
    return [root / host.loader, "--library-path", root / host.library_path, root / "usr/bin/docker-registry"]


@contextmanager
def registry(folder: Path, users: Path | None = None) -> Iterator[Registry]:
    """A registry that keeps what it is given in `folder`, while the block lasts; with `users` (an htpasswd file) it
    serves those only."""
    folder.mkdir(parents=True, exist_ok=True)
    config, log = folder / "config.yml", folder / "log"
    log.unlink(missing_ok=True)
    login = {"auth": {"htpasswd": {"realm": "test", "path": str(users)}}} if users else {}
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "info", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder)}, "cache": {}},
                "http": {"addr": "127.0.0.1:0"},
                **login,
            }
        )
    )
    running = process.spawn([*_program(), "serve", config], log=log)

    def told() -> re.Match[str] | None:
        assert running.poll() is None, log.read_text()
        return _LISTENING.search(log.read_text())

    try:
        until(lambda: told() is not None, "the registry listening", _DEADLINE)
        found = told()
        assert found is not None
        yield Registry(f"127.0.0.1:{found[1]}", folder)
    finally:
        running.terminate()
        running.wait(_DEADLINE)


@contextmanager
def token_gate(behind: Registry, token: str) -> Iterator[str]:
    """The host of a gate before a registry that lets through who has a token, which it gives to everybody who asks for
    one, as the large public registries do."""

    class Gate(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/token?"):
                self._answer(200, json.dumps({"token": token}).encode(), {})
            elif self.headers["Authorization"] != f"Bearer {token}":
                where = f'Bearer realm="http://{self.headers["Host"]}/token",service="test",scope="repository:k:pull"'
                self._answer(401, b"{}", {"Www-Authenticate": where})
            else:
                asked = {"Accept": self.headers["Accept"]}
                found = requests.get(f"http://{behind.host}{self.path}", headers=asked, timeout=_DEADLINE)
                self._answer(found.status_code, found.content, {"Content-Type": found.headers["Content-Type"]})

        def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def layer(files: Mapping[str, bytes | str], *, links: Mapping[str, str] | None = None) -> bytes:
    """A layer: regular files by path, and symbolic links (path -> target)."""
    members = [member(name, content) for name, content in files.items()]
    members += [member(name, target=target) for name, target in (links or {}).items()]
    return tar(*members)


def member(name: str, content: bytes | str = b"", *, target: str = "", kind: bytes = b"") -> tuple[Any, bytes]:
    """One member of a layer; with a target it is a symbolic link unless `kind` (tarfile's) says otherwise."""
    data = content if isinstance(content, bytes) else content.encode()
    info = tarfile.TarInfo(name)
    info.type = kind or (tarfile.SYMTYPE if target else tarfile.REGTYPE)
    info.linkname, info.size, info.mode = target, len(data), 0o644
    return info, data


def tar(*members: tuple[Any, bytes]) -> bytes:
    """An archive of members, in their order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def lvh_files(version: str, files: Mapping[str, bytes | str]) -> dict[str, bytes | str]:
    """As little-vm-helper publishes kernels: what `make tar-pkg` installs, in data/kernels/VERSION."""
    return {f"data/kernels/{version}/{place}": content for place, content in files.items()}
