"""Kernels from container images: `oci:HOST/NAME:TAG`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.arches import Arch
from lab.archives.aptconf import demand_online
from lab.errors import ArchiveError, RequestError
from lab.kernels.kernel import Kernel, LocalTree
from lab.kernels.local.look import holds_kernel, look
from lab.kernels.local.provider import completed, described, series, short, slug
from lab.kernels.oci.layers import MOST_BYTES, Unpacker
from lab.kernels.oci.packed import unpack_initrd_modules, unpack_packages
from lab.kernels.oci.registry import INDEXES, MANIFESTS, PREFIX, Manifest, Reference, Repository, parse_reference
from lab.settings import Settings
from lab.store import Entry, Store, file_digest, key_of

_KIND = "oci"
_MOST_LAYERS = 128
_Json = dict[str, Any]


@dataclass(frozen=True)
class _Blob:
    digest: str
    size: int


@dataclass(frozen=True)
class OciChoice:
    """The image that a request means. `version` is its digest, shortened; its release is known when it is unpacked."""

    request: str
    release: str
    version: str
    arch: Arch
    reference: Reference
    digest: str
    layers: tuple[_Blob, ...]
    store: Store
    notice: Callable[[str], None]
    origin: str = "oci"

    def fetch(self) -> Kernel:
        """The kernel in the image: downloaded, each blob checked against its digest, unpacked into the store."""
        return self._kernel(self.store.get(_KIND, _inputs(self.digest, self.arch), self._fill))

    def _fill(self, files: Path) -> _Json:
        self.notice(f"fetching {self.reference}")
        repository = Repository(self.reference)
        root, blob = files / "root", files / "blob"
        root.mkdir()
        unpacker = Unpacker(root)
        for layer in self.layers:
            repository.download(layer.digest, layer.size, blob)
            unpacker.layer(blob)
            blob.unlink()
        if not holds_kernel(root):
            unpack_packages(root, unpacker, blob)
        unpack_initrd_modules(root, unpacker)
        found = look(root, self.arch, str(self.reference))  # what holds no kernel must not get into the store
        return {
            "registry": self.reference.host,
            "repository": self.reference.name,
            "tag": self.reference.tag,
            "digest": self.digest,
            "platform": f"linux/{self.arch.name}",
            "layers": [layer.digest for layer in self.layers],
            **described({"sha256": file_digest(found.image.path)}, found),
        }

    def _kernel(self, entry: Entry) -> Kernel:
        found = look(entry.files / "root", self.arch, str(self.reference))
        kernel = Kernel(
            request=slug(self.request),
            exact=f"{PREFIX}{self.reference.host}/{self.reference.name}@{self.digest}",
            release=found.release,
            version=self.version,
            series=series(found.release),
            arch=self.arch,
            flavour="",
            origin=self.origin,
            image=found.image.path,
            modules=found.modules,
            config=found.config,
            headers=LocalTree(found.tree, found.compiler, entry.key) if found.tree else None,
            no_headers=found.no_headers,
            key=entry.key,
            provenance=entry.provenance,
        )
        return completed(kernel, found.image, self.store)


class OciKernels:
    """Kernels in the images of a registry."""

    def __init__(self, store: Store, settings: Settings, notice: Callable[[str], None]) -> None:
        self._store = store
        self._settings = settings
        self._notice = notice

    def resolve(self, text: str, arch: Arch) -> OciChoice:
        """The image that a request means for `arch`. RequestError where it does not exist or is another's, ArchiveError
        where the registry does not answer; one that is in the store is not asked for when it was named by its digest,
        or when the lab is offline: then a tag means what it meant last.
        """
        reference = parse_reference(text)
        known = _Tags(self._store)
        digest = known.read(reference, arch) if self._settings.offline else reference.digest
        if digest and self._store.find(_KIND, _inputs(digest, arch)):
            return self._choice(text, arch, reference, digest, ())
        demand_online(self._settings, str(reference))
        repository = Repository(reference)
        manifest = repository.manifest(reference.digest or reference.tag)
        content = _json_of(manifest, reference)
        if manifest.kind in INDEXES:
            manifest = repository.manifest(_for_arch(content, arch, reference))
            content = _json_of(manifest, reference)
        if manifest.kind not in MANIFESTS:
            raise RequestError(f"{reference} is no image (its type is {manifest.kind[:100]!r})", hint="name another")
        layers = _layers(content, reference)
        _demand_arch(repository, content, arch, reference)
        known.write(reference, arch, manifest.digest)
        return self._choice(text, arch, reference, manifest.digest, layers)

    def _choice(self, text: str, arch: Arch, reference: Reference, digest: str, layers: tuple[_Blob, ...]) -> OciChoice:
        version = short(digest.removeprefix("sha256:"))
        return OciChoice(text, text, version, arch, reference, digest, layers, self._store, self._notice)


class _Tags:
    """What each tag meant when it was last asked for, kept in the store's state."""

    def __init__(self, store: Store) -> None:
        self._folder = store.state("oci")

    def read(self, reference: Reference, arch: Arch) -> str:
        """The digest; the reference's own, or none, where the tag was never asked for."""
        try:
            return self._place(reference, arch).read_text().strip()
        except FileNotFoundError:
            return reference.digest

    def write(self, reference: Reference, arch: Arch, digest: str) -> None:
        """Remember it, in one step."""
        place = self._place(reference, arch)
        part = place.with_name(f"{place.name}.{os.getpid()}")
        part.write_text(digest)
        part.replace(place)

    def _place(self, reference: Reference, arch: Arch) -> Path:
        return self._folder / key_of({"reference": str(reference), "arch": arch.name})


def _inputs(digest: str, arch: Arch) -> _Json:
    """What a stored image is made from; not the registry: the same digest is the same image everywhere."""
    return {"digest": digest, "arch": arch.name, "layout": 1}


def _json_of(manifest: Manifest, reference: Reference) -> _Json:
    try:
        content = json.loads(manifest.content)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ArchiveError(f"the manifest of {reference} cannot be read")
    return content


def _for_arch(index: _Json, arch: Arch, reference: Reference) -> str:
    """The digest of an index's image for `arch`."""
    offered: dict[str, str] = {}
    for one in _list(index, "manifests", reference):
        platform = one.get("platform")
        name = platform.get("architecture") if isinstance(platform, dict) and platform.get("os") == "linux" else None
        if name:
            offered.setdefault(str(name)[:50], _blob(one, reference).digest)
    if arch.name not in offered:
        raise _foreign(reference, ", ".join(sorted(offered)) or "no known architecture", arch)
    return offered[arch.name]


def _demand_arch(repository: Repository, manifest: _Json, arch: Arch, reference: Reference) -> None:
    """Refuse what says that it is another architecture's; an artifact without a platform says nothing."""
    config = manifest.get("config")
    if not isinstance(config, dict) or "image" not in str(config.get("mediaType")):
        return
    blob = _blob(config, reference)
    try:
        said = json.loads(repository.blob(blob.digest, blob.size)).get("architecture")
    except (ValueError, AttributeError):
        said = None
    if said and said != arch.name:
        raise _foreign(reference, str(said)[:50], arch)


def _foreign(reference: Reference, said: str, arch: Arch) -> RequestError:
    return RequestError(f"{reference} is for {said}, not for {arch.name}", hint="choose another with --arch")


def _layers(manifest: _Json, reference: Reference) -> tuple[_Blob, ...]:
    layers = tuple(_blob(one, reference) for one in _list(manifest, "layers", reference))
    if len(layers) > _MOST_LAYERS or sum(layer.size for layer in layers) > MOST_BYTES:
        raise ArchiveError(f"{reference} is larger than the lab unpacks", hint="name another image")
    return layers


def _list(content: _Json, name: str, reference: Reference) -> list[_Json]:
    found = content.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ArchiveError(f"the manifest of {reference} has no {name}")
    return found


def _blob(descriptor: _Json, reference: Reference) -> _Blob:
    digest, size = descriptor.get("digest"), descriptor.get("size")
    if not isinstance(digest, str) or not isinstance(size, int) or size < 0 or not _is_digest(digest):
        raise ArchiveError(f"the manifest of {reference} names a blob without a digest that the lab can check")
    return _Blob(digest, size)


def _is_digest(text: str) -> bool:
    return text.startswith("sha256:") and len(text) == 71 and set(text[7:]) <= set("0123456789abcdef")
