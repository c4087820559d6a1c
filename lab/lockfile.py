"""`lab.lock`: the exact packages that kernels, roots and drivers were made of, so that they can be had again.

JSON with a package on each line, in an order that does not change, so that a new version is one line of a diff. No
archive's address stands in it: a suite's is found as ever (lab/archives/sources.py). What is fetched by it needs no
lists, and is checked by the digests that stand in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.archives.bootstrap import Exact
from lab.archives.failures import GoneError
from lab.archives.stanzas import Package
from lab.errors import ArchiveError, HostError, RequestError
from lab.settings import Settings

FILE = "lab.lock"

_MOST_BYTES = 32 << 20
_ANEW = "correct it, or write it anew"

# Debian policy 5.6.1, 5.6.7, 5.6.12
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]{0,199}$")]
_Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+:~-]{0,199}$")]
_Word = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+:~=/_-]{0,199}$")]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Below the archive's address, and never out of it.
_Filename = Annotated[str, Field(pattern=r"^(?:[0-9A-Za-z][0-9A-Za-z.+~%_-]*/)*[0-9A-Za-z][0-9A-Za-z.+~%_-]*\.deb$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LockedPackage(_Record):
    """A package that can be fetched without any list: as `Package` has it."""

    name: _Name
    version: _Version
    arch: _Word
    suite: _Word
    sha256: _Digest
    size: int = Field(ge=0)
    filename: _Filename
    depends: str = ""

    @classmethod
    def of(cls, package: Package) -> Self:
        """The record of a package out of a list."""
        return cls(**{name: getattr(package, name) for name in cls.model_fields})

    def package(self) -> Package:
        """The package as a list would have it, for AptRoot.download."""
        return Package(**self.model_dump())


class LockedHeaders(_Record):
    """What drivers are compiled against: as HeaderPackages has it, and the very package with kbuild's programs."""

    packages: tuple[LockedPackage, ...] = Field(min_length=1)
    kbuild: LockedPackage | None
    suite: _Word
    compiler: _Name
    tree: _Word


class LockedKernel(_Record):
    """What a request meant for an architecture. `packages` are all that its files come from, the image's first."""

    request: _Word
    arch: _Word
    release: _Word
    version: _Version
    series: str = Field(pattern=r"^\d+\.\d+$")
    patch: int = Field(ge=0)
    flavour: _Word
    origin: str = Field(pattern=r"^[a-z]+:[a-z-]+$")
    signed_by: str = Field(pattern=r"^[0-9A-F]+$")
    packages: tuple[LockedPackage, ...] = Field(min_length=1)
    headers: LockedHeaders | None
    no_headers: str = Field("", max_length=1000)

    def inputs(self) -> dict[str, Any]:
        """What the store knows the kernel by (lab/kernels/archive/provider.py)."""
        return {
            "packages": [
                {"package": package.name, "version": package.version, "arch": package.arch, "sha256": package.sha256}
                for package in self.packages
            ]
        }


class LockedFile(_Record):
    """A package of a root: its version, and the SHA-256 of its file."""

    version: _Version
    sha256: _Digest


class LockedRoot(_Record):
    """What a root was extracted from: `wanted` as its recipe has it, `packages` all that came.

    `kind` is the store's: image (of recipe `name`), builder (of recipe `name`), qemu (for guests of `name`), gdb.
    """

    kind: Literal["builder", "gdb", "image", "qemu", "tool"]
    name: _Word
    arch: _Word
    suite: _Word
    wanted: tuple[_Word, ...] = Field(min_length=1)
    packages: dict[_Name, LockedFile] = Field(min_length=1)

    def pins(self) -> dict[str, Exact]:
        """As extract_root takes them."""
        return {name: Exact(file.version, file.sha256) for name, file in self.packages.items()}


class Lock(_Record):
    """All that is locked. `sources` are packages that drivers are built from."""

    form: Literal[1] = 1
    kernels: tuple[LockedKernel, ...] = ()
    roots: tuple[LockedRoot, ...] = ()
    sources: tuple[LockedPackage, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("kernels", "roots", "sources"):
            keys = [_key(record) for record in getattr(self, name)]
            if twice := next((key for key in keys if keys.count(key) > 1), None):
                raise ValueError(f"{name} has {' '.join(map(str, twice))} twice")
        return self

    def kernel(self, request: str, arch: str) -> LockedKernel | None:
        """What the request (a slug) means for the architecture, where it is locked."""
        return next((found for found in self.kernels if (found.request, found.arch) == (request, arch)), None)

    def root(self, kind: str, name: str, arch: str, suite: str, wanted: Sequence[str]) -> LockedRoot | None:
        """The root for that very wish; None too when its recipe wants other packages now than when it was locked."""
        key = (kind, name, arch, suite, tuple(sorted(wanted)))
        return next((found for found in self.roots if _key(found) == key), None)

    def source(self, name: str, suite: str) -> LockedPackage | None:
        """The package that a driver is built from, where it is locked."""
        return next((found for found in self.sources if (found.name, found.suite) == (name, suite)), None)


def active(settings: Settings) -> Lock:
    """The lock that this run goes by: empty where there is no file."""
    return read(settings.lock_file) if settings.lock_file.exists() else Lock()


def read(path: Path) -> Lock:
    """The lock in that file; RequestError names the file, the place in it and what is wrong there."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RequestError(f"{path} is larger than {_MOST_BYTES >> 20} MiB", hint=_ANEW)
        return Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RequestError(f"there is no {path}", hint="write one, or run where it is") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"{path}: {place}: {first['msg']}" if place else f"{path}: {first['msg']}"
        raise RequestError(what, hint=_ANEW) from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}", hint=_ANEW) from error


def write(path: Path, lock: Lock) -> None:
    """Put the lock into that file in one step: who reads it gets the old one or the new one. Raises HostError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w") as stream:
            stream.write(render(lock))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        hint = "free some space, or run the lab in a folder of yours"
        raise HostError(f"{path} cannot be written: {error.strerror}", hint=hint) from error
    finally:
        part.unlink(missing_ok=True)


def render(lock: Lock) -> str:
    """The lock as text: the same for the same content, in whatever order it was put together."""
    content = lock.model_dump()
    for name in ("kernels", "roots", "sources"):
        content[name] = [record.model_dump() for record in sorted(getattr(lock, name), key=_key)]
    for root in content["roots"]:
        root["wanted"] = sorted(root["wanted"])
        root["packages"] = dict(sorted(root["packages"].items()))
    return _render(content, "") + "\n"


def fetch(packages: Sequence[LockedPackage], download: Callable[[Package], Path]) -> list[Path]:
    """The packages' files, each by `download`; ArchiveError names all of those that the archive has no more."""
    files, gone = [], []
    for locked in packages:
        try:
            files.append(download(locked.package()))
        except GoneError:
            gone.append(f"{locked.name} {locked.version}")
    if gone:
        raise ArchiveError(
            f"the archive has no more what {FILE} names: {', '.join(gone)}",
            hint=f"write {FILE} anew, or set LAB_MIRROR to an archive that keeps old packages",
        )
    return files


def _key(record: LockedKernel | LockedRoot | LockedPackage) -> tuple[Any, ...]:
    """What a record is found by."""
    match record:
        case LockedKernel():
            return (record.request, record.arch)
        case LockedRoot():
            return (record.kind, record.name, record.arch, record.suite, tuple(sorted(record.wanted)))
    return (record.name, record.suite)


def _render(value: Any, margin: str) -> str:
    """JSON in which whatever holds nothing but plain values stands on one line."""
    inside = list(value.values()) if isinstance(value, Mapping) else list(value) if _is_many(value) else []
    if not any(isinstance(part, Mapping) or _is_many(part) for part in inside):
        return json.dumps(value)
    deeper = margin + " "
    if isinstance(value, Mapping):
        rows = [f"{deeper}{json.dumps(name)}: {_render(part, deeper)}" for name, part in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    return "[\n" + ",\n".join(deeper + _render(part, deeper) for part in value) + f"\n{margin}]"


def _is_many(value: Any) -> bool:
    return isinstance(value, list | tuple)
