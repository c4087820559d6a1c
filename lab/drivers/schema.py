"""What a `driver.toml` may say, key by key; docs/drivers.md is the same for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab.drivers.gaps import Gap

_STRICT = ConfigDict(frozen=True, extra="forbid")

# They stand in requests (NAME@VERSION+OPTION:MODE), where these characters end them.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Number = Annotated[str, Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")]
Define = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(=[A-Za-z0-9_.-]+)?$")]
Flag = Annotated[str, Field(pattern=r"^-[fW][a-z0-9-]+(=[a-z0-9-]+)?$")]
Command = tuple[str, ...]

# {module} in a command is where it lies in the guest; so are the others.
_PLACES = re.compile(r"\{(module|object|program|artifact)\}")
_BUILT = {"kbuild": "module", "legacy-bpf": "object", "co-re": "object"}


class Source(BaseModel):
    """Where a mode's sources are: a Debian package (with suite and folder in it) or a folder beside the manifest.

    All of `folder` is there when it is built, `subfolder` of it is what is built.
    """

    model_config = _STRICT

    package: str = ""
    suite: str = ""
    folder: str
    subfolder: str = ""


class Program(BaseModel):
    """A program of the driver's that the lab builds for the guest's architecture, in C or (*.cpp) in C++.

    `sources` (globs) and `include` are below `folder`; `packages` are what it is compiled and linked against, of the
    guest's architecture, `headers` folders of theirs, `libraries` the linker's words for them, in order. It is static,
    or else the consumer's packages bring the libraries.
    """

    model_config = _STRICT

    folder: str
    sources: tuple[str, ...] = ("*.c",)
    include: tuple[str, ...] = ()
    libraries: tuple[Name, ...] = ()
    packages: tuple[str, ...] = ()
    headers: tuple[str, ...] = Field((), description="/usr/include/x, of the packages")
    static: bool = True

    @property
    def language(self) -> str:
        """c or c++."""
        return "c++" if any(pattern.endswith(".cpp") for pattern in self.sources) else "c"


class Consumer(BaseModel):
    """The program in the guest that prints the driver's events, one a line, on standard output."""

    model_config = _STRICT

    command: Command = Field(min_length=1)
    adapter: str = Field(pattern=r"^[^:]+:\w+$", description="FILE.py:CLASS, beside the manifest")
    sentinel: tuple[str, ...] = Field(description="event types in which the lab's own marks are reported")
    sentinel_param: str = "name"
    program: Program | None = None
    packages: tuple[str, ...] = Field((), description="what the guest's image needs for it")
    suite: str = Field("", description="of what suite that image is; the lab's own when empty")
    counters: Literal["at-end", "USR1"] = Field("at-end", description="when it tells the driver's drop counters")
    clock: Literal["realtime", "boot"] = Field("realtime", description="boot: with an offset it reads at its start")
    order: Literal["cpu", "global"] = Field("cpu", description="global: all CPUs' events come in one order")
    starts_within: float = Field(10.0, gt=0, le=600, description="seconds on hardware to its first event")
    needs: Mapping[Name, Number] = Field({}, description="the driver's interfaces, at least")


class ArtifactKind(BaseModel):
    """One kind of program that can be given: `text` is in it and in no other, `consumer` is what differs then."""

    model_config = _STRICT

    text: str = Field(min_length=4)
    consumer: Mapping[str, Any] = {}


class Artifact(BaseModel):
    """A program that the user gives (--artifact NAME:MODE=PATH). `needs_text` must be in it; `lacks` names what it
    lacks without."""

    model_config = _STRICT

    describe: str
    needs_text: str = ""
    lacks: str = ""
    kinds: Mapping[Name, ArtifactKind] = {}


class Option(BaseModel):
    """A way of building it otherwise: `defines` are given to the compiler as -D words, `flags` as they are."""

    model_config = _STRICT

    defines: tuple[Define, ...] = ()
    flags: tuple[Flag, ...] = ()
    description: str = ""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.defines and not self.flags:
            raise ValueError("an option has defines, flags or both")
        return self


class Mode(BaseModel):
    """One way of building and loading a driver. Without `load`, starting the consumer loads it."""

    model_config = _STRICT

    source: Source | None = None
    build: Literal["kbuild", "legacy-bpf", "co-re", "none"]
    module: str = Field("", description="the module's name, as lsmod shows it")
    object: str = Field("", description="the eBPF object that is made: probe.o")
    make: tuple[str, ...] = Field((), description="legacy-bpf: words for the sources' own makefile")
    load: tuple[Command, ...]
    check: tuple[Command, ...]
    unload: tuple[Command, ...]
    needs_config: tuple[str, ...] = ()
    minimum_kernel: Mapping[str, str] = Field(description="by architecture; one that is absent is unsupported")
    consumer: Consumer | None = None
    sees: tuple[str, ...] = Field((), description="the only calls and events it looks at; all when it is not said")
    options: Mapping[Name, Option] = {}
    gaps: tuple[Gap, ...] = ()
    artifact: Artifact | None = None

    @property
    def loads_itself(self) -> bool:
        """Whether starting the consumer is what loads it."""
        return not self.load

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if any(gap.modes for gap in self.gaps):
            raise ValueError("a gap of a mode has no modes: [[gaps]] at the top is for those of several")
        made = _BUILT.get(self.build, "")
        for name in ("module", "object"):
            if bool(getattr(self, name)) != (name == made):
                raise ValueError(f"{name} is what {_makers(name)} makes, and build is {self.build}")
        if bool(self.source) != bool(made):
            raise ValueError("source is what something is built from" if self.source else "source is missing")
        if self.make and self.build != "legacy-bpf":
            raise ValueError("make is for legacy-bpf")
        if self.options and not made:
            raise ValueError("options are for what is built")
        if self.artifact and made:
            raise ValueError("artifact is a program that is given, so build is none")
        if self.loads_itself and (self.consumer is None or self.unload):
            raise ValueError("without load, the consumer loads it, and its end is what unloads it")
        self._demand_places(made)
        return self

    def _demand_places(self, made: str) -> None:
        there = {made, "program" * bool(self.consumer and self.consumer.program), "artifact" * bool(self.artifact)}
        consumer = {"consumer.command": (self.consumer.command,)} if self.consumer else {}
        commands = {"load": self.load, "check": self.check, "unload": self.unload, **consumer}
        for key, words in ((key, command) for key, group in commands.items() for command in group):
            for place in (match[1] for word in words for match in _PLACES.finditer(word)):
                if place not in there:
                    raise ValueError(f"{key} uses {{{place}}}, which there is none of in this mode")


class Version(BaseModel):
    """What one version has otherwise than the modes say, and what interfaces its driver provides."""

    model_config = _STRICT

    default: bool = False
    provides: Mapping[Name, Number] = {}
    source: Mapping[str, Any] = {}
    consumer: Mapping[str, Any] = {}
    modes: Mapping[str, Mapping[str, Any]] = {}


class Manifest(BaseModel):
    """A whole `driver.toml`."""

    model_config = _STRICT

    name: Name
    description: str
    homepage: str = ""
    default_mode: str = Field("", description="set in the one driver that is taken when none is asked for")
    modes: Mapping[Name, Mode] = Field(min_length=1)
    versions: Mapping[Name, Version] = {}
    words: Mapping[Name, str] = Field({}, description="long words of consumers' commands, written there as {NAME}")
    gaps: tuple[Gap, ...] = Field((), description="of several modes; a version that lists a mode's gaps has its alone")

    @property
    def default_version(self) -> str:
        """The version that is taken when none is asked for; empty where there are none."""
        return next((name for name, version in self.versions.items() if version.default), "")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.versions and sum(version.default for version in self.versions.values()) != 1:
            raise ValueError("one of the versions, and only one, has default = true")
        if self.default_mode and self.default_mode not in self.modes:
            raise ValueError(f"default_mode is {self.default_mode!r}, and there is no such mode")
        for name, version in self.versions.items():
            for mode in version.modes:
                if mode not in self.modes:
                    raise ValueError(f"versions.{name}.modes.{mode}: there is no such mode")
        for mode in {mode for gap in self.gaps for mode in gap.modes}:
            if mode not in self.modes:
                raise ValueError(f"a gap is of the mode {mode}, and there is no such mode")
        return self

    def mode(self, name: str, version: str = "", consumer: Mapping[str, Any] | None = None) -> Mode:
        """A mode as that version has it, its consumer changed as `consumer` says. Raises ValidationError."""
        found = self.modes[name]
        changes: list[Mapping[str, Any]] = [{"consumer": consumer}] if consumer else []
        if version:
            of = self.versions[version]
            common = {key: value for key in ("source", "consumer") if (value := getattr(of, key))}
            changes = [_applicable(common, found), of.modes.get(name, {}), *changes]
        values = found.model_dump(exclude_unset=True)
        shared = [gap.model_dump(exclude={"modes"}, exclude_unset=True) for gap in self.gaps if gap.is_of(name)]
        values["gaps"] = [*values.get("gaps", []), *shared]
        for change in changes:
            values = _merged(values, change)
        if values.get("consumer"):
            values["consumer"]["command"] = [self._filled_in(word) for word in values["consumer"]["command"]]
        return Mode.model_validate(values)

    def _filled_in(self, word: str) -> str:
        for name, text in self.words.items():
            word = word.replace(f"{{{name}}}", text)
        return word


def _applicable(common: Mapping[str, Any], mode: Mode) -> dict[str, Any]:
    """What a version says of all modes, for one that has the thing: a mode that builds nothing has no source."""
    return {key: value for key, value in common.items() if getattr(mode, key) is not None}


def _merged(values: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`change` over `values`, key by key; in source and consumer, key by key too."""
    merged = dict(values)
    for key, value in change.items():
        deeper = key in ("source", "consumer") and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if deeper else value
    return merged


def _makers(name: str) -> str:
    return " or ".join(build for build, made in _BUILT.items() if made == name)
