"""Kernels of the user's own, used where they lie: `path:DIR`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.arches import Arch
from lab.errors import RequestError, UnsupportedError
from lab.kernels.kernel import Kernel, LocalTree
from lab.kernels.local.bootfile import BootFile, Form, config_in, plain_kernel
from lab.kernels.local.look import Found, look
from lab.kernels.local.tree import tree_digest
from lab.kernels.local.vmlinux import with_entry
from lab.settings import Settings
from lab.store import Store, file_digest, key_of

PREFIX = "path:"
_SERIES = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class LocalChoice:
    """The kernel in a folder. `version` is the image's digest, shortened."""

    request: str
    release: str
    version: str
    arch: Arch
    store: Store
    folder: Path
    origin: str = "path"

    def fetch(self) -> Kernel:
        """The kernel as it lies there now: nothing is copied but what QEMU cannot read as it is."""
        found = look(self.folder, self.arch)
        digest = file_digest(found.image.path)
        tree = LocalTree(found.tree, found.compiler, tree_digest(found.tree, self.arch)) if found.tree else None
        key = key_of(
            {
                "image": digest,
                "config": file_digest(found.config) if found.config else None,
                "modules": _modules_digest(found.modules) if found.modules else None,
                "tree": tree.key if tree else None,
                "release": found.release,
                "arch": self.arch.name,
            }
        )
        kernel = Kernel(
            request=slug(self.request),
            exact=self.request,
            release=found.release,
            version=short(digest),
            series=series(found.release),
            arch=self.arch,
            flavour="",
            origin=self.origin,
            image=found.image.path,
            modules=found.modules,
            config=found.config,
            headers=tree,
            no_headers=found.no_headers,
            key=key,
            provenance=described({"path": str(self.folder), "sha256": digest}, found),
        )
        return completed(kernel, found.image, self.store)


class LocalKernels:
    """Kernels in folders of this host. It takes what every source of kernels takes, and needs the store only."""

    def __init__(self, store: Store, _settings: Settings, _notice: Callable[[str], None]) -> None:
        self._store = store

    def resolve(self, text: str, arch: Arch) -> LocalChoice:
        """The kernel in the folder that `path:DIR` names (with ~, or relative); RequestError when there is none."""
        folder = Path(text.removeprefix(PREFIX)).expanduser().absolute()
        if not text.startswith(PREFIX) or text == PREFIX:
            raise RequestError(f"kernel request {text!r} cannot be read", hint="write path:DIR")
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise RequestError(f"{folder} {what}", hint="write path:DIR with the folder that the kernel lies in")
        found = look(folder, arch)
        version = short(file_digest(found.image.path))
        return LocalChoice(text, found.release, version, arch, self._store, folder)


def slug(request: str) -> str:
    """A request as it goes into test ids and file names."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", request)


def short(digest: str) -> str:
    """A sha256 as one tells it to a person."""
    return f"sha256:{digest[:12]}"


def series(release: str) -> str:
    """6.12 of 6.12.1-lab."""
    found = _SERIES.match(release)
    return found[0] if found else release


def described(provenance: dict[str, Any], found: Found) -> dict[str, Any]:
    """The provenance with what the image says of itself."""
    told = {"version": found.image.banner} if found.image.banner else {}
    return {**provenance, **told, "release": found.release}


def completed(kernel: Kernel, image: BootFile, store: Store) -> Kernel:
    """The kernel with what its image hides: a form of it that QEMU starts, where it does not start the file, and its
    configuration, where no file has it."""
    if kernel.config is not None and image.as_it_is:
        return kernel

    def fill(folder: Path) -> dict[str, Any]:
        config = config_in(image.path)
        if config:
            (folder / "config").write_bytes(config)
        if not image.as_it_is:
            plain = plain_kernel(image.path)
            if not plain:
                what = f"{image.path.name} is an {image.form} packed in a way that the lab cannot unpack"
                raise UnsupportedError(what, hint="use the Image that it was made from")
            (folder / "kernel").write_bytes(with_entry(plain) if image.form is Form.ELF else plain)
        return {"image": image.path.name}

    inputs = {"image": file_digest(image.path), "name": image.path.name, "layout": 1}
    files = store.get("image-parts", inputs, fill).files
    config = files / "config"
    return replace(
        kernel,
        image=kernel.image if image.as_it_is else files / "kernel",
        config=kernel.config or (config if config.is_file() else None),
    )


def _modules_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in _module_files(folder):
        info = path.stat()
        total.update(json.dumps([str(path.relative_to(folder)), info.st_size, info.st_mtime_ns]).encode())
    return total.hexdigest()


def _module_files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.glob("modules.*")) if path.is_file())
    yield from (path for path in sorted(folder.rglob("*.ko*")) if path.is_file())
