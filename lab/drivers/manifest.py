"""Finding a driver: from NAME[@VERSION][+OPTION]:MODE to its manifest, in that version, built with those options."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from lab.drivers import artifact as artifacts
from lab.drivers.event import Counters, Event
from lab.drivers.parse import read_manifest
from lab.drivers.schema import Consumer, Manifest, Mode
from lab.errors import RequestError, UnsupportedError
from lab.settings import Settings

DRIVERS = Path(__file__).resolve().parents[2] / "drivers"
ALL = "all"

_MANIFEST = "driver.toml"
_FORM = "NAME[@VERSION][+OPTION]:MODE"
_MORE = re.compile(r"^(?P<name>.*?)(?:@(?P<version>[^@+/]*))?(?P<options>(?:\+[^@+/]*)*)$", re.DOTALL)


class Adapter(Protocol):
    """Reads what one consumer prints."""

    def event(self, line: bytes) -> Event | None:
        """The event in a line, None for one that is not of interest; ValueError for what it cannot read."""

    def counters(self, said: bytes) -> Counters | None:
        """The driver's counters from what the consumer said on standard error, None if it did not tell them."""


@dataclass(frozen=True)
class Given:
    """What the user has of a driver: a tree of its `source`, and programs by NAME:MODE."""

    source: Path | None = None
    artifacts: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Given:
        """What is given in the settings; RequestError for an artifact that is not written as NAME:MODE=PATH."""
        pairs = [text.partition("=") for text in settings.artifact]
        for driver, _, path in pairs:
            if not path or ":" not in driver:
                raise RequestError(f"artifact {driver!r} is not written as NAME:MODE=PATH", hint="--artifact x:y=./z")
        return cls(settings.driver_src, {driver: Path(path).expanduser().absolute() for driver, _, path in pairs})

    def words(self) -> list[str]:
        """The options that give the same again."""
        source = ["--driver-src", str(self.source)] if self.source else []
        return [*source, *(word for name, path in self.artifacts.items() for word in ("--artifact", f"{name}={path}"))]


@dataclass(frozen=True)
class DriverMode:
    """A driver in one of its modes, as asked for: `folder` is where its manifest lies, `mode` how it is in `version`.

    `source` is a tree of the user's in place of the manifest's source, `artifact` the program that he gave.
    """

    request: str
    manifest: Manifest
    mode_name: str
    folder: Path
    mode: Mode
    version: str = ""
    options: tuple[str, ...] = ()
    source: Path | None = None
    artifact: Path | None = None

    @property
    def name(self) -> str:
        """As it is asked for, without what goes without saying."""
        version = f"@{self.version}" if self.version != self.manifest.default_version else ""
        return "".join([self.manifest.name, version, *(f"+{option}" for option in self.options), ":", self.mode_name])

    @property
    def defines(self) -> tuple[str, ...]:
        """What its options give to the compiler."""
        chosen = [self.mode.options[option] for option in self.options]
        return tuple(word for option in chosen for word in (*(f"-D{name}" for name in option.defines), *option.flags))

    @property
    def mute(self) -> str:
        """Why its events cannot be read, as a sentence; empty when they can."""
        consumer = self.mode.consumer
        if consumer is None:
            return f"{self.name} has no consumer (its manifest)"
        if self.source or not self.version:
            return ""
        provided = self.manifest.versions[self.version].provides
        for interface, needed in consumer.needs.items():
            there = provided.get(interface, "")
            if there and not fits(there, needed):
                reader = f"{' '.join(consumer.packages) or consumer.command[0]} of {consumer.suite or 'the lab'}"
                what = f"{self.manifest.name} {self.version} has {interface} version {there}, and its consumer"
                return f"{what} ({reader}) needs {needed}: its events cannot be read"
        return ""

    @property
    def consumer(self) -> Consumer:
        """What prints its events; UnsupportedError when nothing can."""
        if self.mute or self.mode.consumer is None:
            raise UnsupportedError(self.mute)
        return self.mode.consumer

    def adapter(self) -> Adapter:
        """A fresh adapter, from the file beside the manifest."""
        file, _, name = self.consumer.adapter.partition(":")
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


def fits(provided: str, needed: str) -> bool:
    """Whether an interface "major.minor.patch" is what is needed: the same major, and the rest at least."""
    there, least = (tuple(int(word) for word in text.split(".")) for text in (provided, needed))
    return there[0] == least[0] and there[1:] >= least[1:]


def find_driver(request: str, given: Given | None = None) -> DriverMode:
    """The driver that `NAME[@VERSION][+OPTION]:MODE` or `PATH/driver.toml...:MODE` means, with what the user gives.

    RequestError lists what there is. Without `given`, a program that must be given is not asked for.
    """
    path, version, options, mode = _parse(request)
    manifest = read_manifest(path)
    _demand_known("mode", mode, manifest.modes, manifest.name)
    if version:
        _demand_known("version", version, manifest.versions, manifest.name)
    version = version or manifest.default_version
    found = manifest.mode(mode, version)
    for option in options:
        _demand_known("option", option, found.options, f"{manifest.name}:{mode}")
    plain = DriverMode(request, manifest, mode, path.resolve().parent, found, version, options)
    return plain if given is None else _with(plain, given)


def find_drivers(text: str) -> list[str]:
    """The requests in a comma-separated list, each once: `all` means every mode of the lab's own drivers that needs
    nothing from the user, NAME[@VERSION]:all every such mode of one."""
    found: list[str] = []
    for word in (word.strip() for word in text.split(",")):
        name, _, mode = word.rpartition(":")
        if word == ALL:
            found += [request for path in _own() for request in _every(read_manifest(path), "")]
        elif mode == ALL and name:
            found += _every(read_manifest(_parse(word)[0]), name)
        elif word:
            found.append(word)
    return list(dict.fromkeys(found))


def default_driver() -> str:
    """The request for the driver that is taken when none is asked for: the first manifest with a default_mode."""
    for path in _own():
        manifest = read_manifest(path)
        if manifest.default_mode:
            return f"{manifest.name}:{manifest.default_mode}"
    raise RequestError("no driver is the default", hint=f"--driver {_FORM}; " + _known())


def own_drivers() -> list[tuple[Path, Manifest]]:
    """The lab's own drivers: their folders and manifests."""
    return [(path.parent, read_manifest(path)) for path in _own()]


def find_manifest(name: str) -> Path:
    """The manifest of a driver of the lab's, or of somebody else's by its path; RequestError lists what there is."""
    path = Path(name) if name.endswith(".toml") else DRIVERS / name / _MANIFEST
    if not path.is_file():
        what = f"there is no manifest {name}" if name.endswith(".toml") else f"unknown driver {name!r}"
        raise RequestError(what, hint=_known())
    return path


def _with(driver: DriverMode, given: Given) -> DriverMode:
    values = {**vars(driver), "source": given.source if driver.mode.source else None}
    wanted = driver.mode.artifact
    if wanted is None:
        return DriverMode(**values)
    plain = f"{driver.manifest.name}:{driver.mode_name}"
    path = given.artifacts.get(driver.request) or given.artifacts.get(plain)
    if path is None:
        raise RequestError(
            f"{driver.name} needs a program that you give it: {wanted.describe}", hint=f"--artifact {plain}=PATH"
        )
    kind = artifacts.kind_of(path, wanted, driver.name)
    if kind:
        values["mode"] = driver.manifest.mode(driver.mode_name, driver.version, wanted.kinds[kind].consumer)
    return DriverMode(**{**values, "artifact": path})


def _parse(request: str) -> tuple[Path, str, tuple[str, ...], str]:
    """The manifest, the version, the options and the mode in a request; RequestError when it is none."""
    front, _, mode = request.rpartition(":")
    if not front:
        raise RequestError(f"driver {request!r} names no mode", hint=f"write it as {_FORM}; " + _known())
    # A path may hold any character, what stands behind the file's name may not.
    head, file, tail = front.rpartition(".toml")
    match = _MORE.fullmatch(tail if file else front)
    name = f"{head}{file}{match['name'] if match else ''}"
    options = tuple(word for word in (match["options"] if match else "").split("+") if word)
    return find_manifest(name), (match and match["version"]) or "", options, mode


def _demand_known(what: str, name: str, there: Mapping[str, object], whose: str) -> None:
    if name not in there:
        hint = f"it has: {', '.join(there)}" if there else f"it has no {what}s"
        raise RequestError(f"driver {whose} has no {what} {name!r}", hint=hint)


def _every(manifest: Manifest, name: str) -> list[str]:
    return [f"{name or manifest.name}:{mode}" for mode, found in manifest.modes.items() if found.artifact is None]


def _own() -> Sequence[Path]:
    return sorted(DRIVERS.glob(f"*/{_MANIFEST}"))


def _known() -> str:
    names = [f"{manifest.name}:{mode}" for _, manifest in own_drivers() for mode in manifest.modes]
    return "there are: " + ", ".join(names) + ", or the path of a driver.toml with :MODE behind it"
