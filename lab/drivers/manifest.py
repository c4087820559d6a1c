"""Manifests: everything the lab knows about a driver stands in its `driver.toml`."""

from __future__ import annotations

import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.drivers.event import Counters, Event
from lab.errors import RequestError

DRIVERS = Path(__file__).resolve().parents[2] / "drivers"

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Adapter(Protocol):
    """Reads what one consumer prints."""

    def event(self, line: bytes) -> Event | None:
        """The event in a line, None for one that is not of interest; ValueError for what it cannot read."""

    def counters(self, said: bytes) -> Counters | None:
        """The driver's counters from what the consumer said on standard error at its end, None if it did not."""


class Source(BaseModel):
    """Where a mode's sources are: a Debian package (with suite and folder in it) or a folder beside the manifest."""

    model_config = _STRICT

    package: str = ""
    suite: str = ""
    folder: str


class Consumer(BaseModel):
    """The program in the guest that prints the driver's events, one JSON object a line, on standard output."""

    model_config = _STRICT

    command: tuple[str, ...]
    adapter: str = Field(description="FILE.py:CLASS, beside the manifest")
    sentinel: tuple[str, ...] = Field(description="event types in which the lab's own marks are reported")
    sentinel_param: str = "name"


class Mode(BaseModel):
    """One way of building and loading a driver. {module} in a command is the built module's path in the guest."""

    model_config = _STRICT

    source: Source | None = None
    build: Literal["kbuild", "none"]
    module: str = Field("", description="the module's name, as lsmod shows it")
    load: tuple[tuple[str, ...], ...]
    check: tuple[tuple[str, ...], ...]
    unload: tuple[tuple[str, ...], ...]
    needs_config: tuple[str, ...] = ()
    minimum_kernel: dict[str, str] = Field(description="by architecture; one that is absent is unsupported")
    consumer: Consumer

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("source", "module"):
            if bool(getattr(self, name)) != (self.build == "kbuild"):
                raise ValueError(f"{name} is what kbuild needs, and nothing else does")
        return self


class Manifest(BaseModel):
    """A whole `driver.toml`."""

    model_config = _STRICT

    name: str
    description: str
    homepage: str = ""
    default_mode: str = Field("", description="set in the one driver that is taken when none is asked for")
    modes: dict[str, Mode]


@dataclass(frozen=True)
class DriverMode:
    """A driver in one of its modes, as asked for: `folder` is where its manifest lies."""

    request: str
    manifest: Manifest
    mode_name: str
    folder: Path

    @property
    def mode(self) -> Mode:
        return self.manifest.modes[self.mode_name]

    @property
    def name(self) -> str:
        return f"{self.manifest.name}:{self.mode_name}"

    def adapter(self) -> Adapter:
        """A fresh adapter, from the file beside the manifest."""
        file, _, name = self.mode.consumer.adapter.partition(":")
        path = self.folder / file
        spec = importlib.util.spec_from_file_location(f"lab_adapter_{self.manifest.name.replace('-', '_')}", path)
        if spec is None or spec.loader is None:
            raise RequestError(f"adapter {path} is not a Python file", hint="correct `adapter` in driver.toml")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            return cast(Adapter, getattr(module, name)())
        except Exception as error:  # whatever somebody else's file raises when it is run
            raise RequestError(f"adapter {name!r} of {path} cannot be loaded: {error}", hint="correct it") from error


def find_driver(request: str) -> DriverMode:
    """`NAME:MODE` of the lab's own drivers, or `PATH/driver.toml:MODE`; RequestError lists what there is."""
    name, _, mode = request.rpartition(":")
    if not name:
        raise RequestError(f"driver {request!r} names no mode", hint="write it as NAME:MODE; " + _known())
    path = Path(name) if name.endswith(".toml") else DRIVERS / name / "driver.toml"
    if not path.is_file():
        raise RequestError(f"unknown driver {name!r}", hint=_known())
    manifest = read_manifest(path)
    if mode not in manifest.modes:
        raise RequestError(f"driver {name} has no mode {mode!r}", hint=f"it has: {', '.join(manifest.modes)}")
    return DriverMode(request, manifest, mode, path.resolve().parent)


def default_driver() -> str:
    """The request for the driver that is taken when none is asked for: the first manifest with a default_mode."""
    for path in sorted(DRIVERS.glob("*/driver.toml")):
        manifest = read_manifest(path)
        if manifest.default_mode:
            return f"{manifest.name}:{manifest.default_mode}"
    raise RequestError("no driver is the default", hint="--driver NAME:MODE; " + _known())


def read_manifest(path: Path) -> Manifest:
    """The manifest in that file; RequestError says which key is wrong."""
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text())
        return Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"manifest {path}: {key}: {first['msg']}", hint="correct that key") from error
    except (OSError, ValueError) as error:
        raise RequestError(f"manifest {path} cannot be read: {error}", hint="correct the file") from error


def _known() -> str:
    names = []
    for path in sorted(DRIVERS.glob("*/driver.toml")):
        manifest = read_manifest(path)
        names += [f"{manifest.name}:{mode}" for mode in manifest.modes]
    return "there are: " + ", ".join(names) + ", or the path of a driver.toml with :MODE behind it"
