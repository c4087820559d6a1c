"""Settings: LAB_* variables over lab.toml over defaults, validated once."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_cache_path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lab.errors import RequestError

# Programs are run in other folders than ours, where a relative path would lead elsewhere.
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]

_LISTS = frozenset({"artifact"})  # comma-separated in the environment


class Settings(BaseModel):
    """What a user can set. Each field is `LAB_<NAME>` in the environment or `<name>` in lab.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kernel: str = Field("6.12", description="default of --kernel")
    driver: str = Field("", description="default of --driver; empty: the driver whose manifest has a default_mode")
    driver_src: Folder | None = Field(None, description="a tree of the driver's sources in place of its manifest's")
    artifact: tuple[str, ...] = Field((), description="programs for drivers that need one: NAME:MODE=PATH")
    store: Folder = Field(
        default_factory=lambda: user_cache_path("kernel-lab"), description="where fetched and built things are kept"
    )
    run_dir: Folder = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / f"lab-{os.getuid()}",
        description="where running machines keep their sockets and logs; a short path, sockets have 108 bytes",
    )
    mirror: str = Field("", description="address of the Debian archive, instead of the host's own or the template's")
    security_mirror: str = Field("", description="address of the Debian security archive, likewise")
    ubuntu_mirror: str = Field("", description="address of the Ubuntu archive (amd64), likewise")
    ubuntu_ports_mirror: str = Field("", description="address of the Ubuntu ports archive (arm64, riscv64), likewise")
    ubuntu_keyring: Folder | None = Field(None, description="keyring of those mirrors, where it is not Ubuntu's own")
    allow_expired: bool = Field(False, description="take archives whose Release file is past its Valid-Until date")
    offline: bool = Field(False, description="never use the network: what is not in the store is an error")
    catalog_hours: float = Field(24, ge=0, description="age at which a catalogue is read from the archive again")
    lock_file: Folder = Field(
        Path("lab.lock"), validate_default=True, description="the exact packages to take, where the file is there"
    )
    accel: str = Field("auto", pattern="^(auto|kvm|tcg)$", description="auto, kvm or tcg")
    cpu_features: str = Field(
        "", pattern=r"^([a-z0-9_.-]+=[a-z0-9]+(,|$))*$", description="words for QEMU behind the CPU model: lpa2=on"
    )
    memory_mib: int = Field(768, ge=256, le=65536, description="a guest's memory")
    cpus: int = Field(2, ge=1, le=64, description="a guest's CPUs")
    min_free_mib: int = Field(1024, ge=0, description="free disk space below which nothing is fetched or built")


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read lab.toml in `folder` (the working directory) and the LAB_* variables; RequestError names what is wrong."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = _from_file((folder or Path.cwd()) / "lab.toml")
    for name in Settings.model_fields:
        value = environ.get(f"LAB_{name.upper()}")
        if value:
            values[name] = value.split(",") if name in _LISTS else value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RequestError(
            f"setting {name!r}: {first['msg']}", hint=f"correct {name} in lab.toml or LAB_{name.upper()}"
        ) from error


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read: {error}", hint="correct the file") from error
