"""Reading a `driver.toml`: the manifest, or which of its keys is wrong."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.drivers.gaps import Gap
from lab.drivers.schema import (
    Artifact,
    ArtifactKind,
    Consumer,
    Manifest,
    Mode,
    Option,
    Program,
    Source,
    Version,
)
from lab.errors import RequestError

_MODELS = (Manifest, Mode, Consumer, Program, Source, Artifact, ArtifactKind, Option, Gap, Version)


def read_manifest(path: Path) -> Manifest:
    """The manifest in that file; RequestError says which key is wrong."""
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text())
        manifest = Manifest.model_validate(values)
        for mode in manifest.modes:
            _demand_whole(manifest, mode, path)
    except ValidationError as error:
        raise _wrong(path, (), error) from error
    except (OSError, ValueError) as error:
        raise RequestError(f"manifest {path} cannot be read: {error}", hint="correct the file") from error
    return manifest


def _demand_whole(manifest: Manifest, mode: str, path: Path) -> None:
    """RequestError when a version, or a kind of artifact, makes a mode what none can be."""
    for version in manifest.versions:
        try:
            manifest.mode(mode, version)
        except ValidationError as error:
            raise _wrong(path, ("versions", version, "modes", mode), error) from error
    artifact = manifest.modes[mode].artifact
    for name, kind in (artifact.kinds if artifact else {}).items():
        try:
            manifest.mode(mode, manifest.default_version, kind.consumer)
        except ValidationError as error:
            raise _wrong(path, ("modes", mode, "artifact", "kinds", name), error) from error


def _wrong(path: Path, place: tuple[str, ...], error: ValidationError) -> RequestError:
    found = error.errors()
    # A key that is misspelt is missing too: the misspelling says more.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for part in (*place, *first["loc"]))
    if first["type"] != "extra_forbidden":
        return RequestError(f"manifest {path}: {key or 'the whole'}: {first['msg']}", hint="correct that key")
    name = str(first["loc"][-1])
    alike = difflib.get_close_matches(name, {field for model in _MODELS for field in model.model_fields}, n=1)
    hint = f"write {alike[0]}" if alike else "docs/drivers.md shows every key"
    return RequestError(f"manifest {path}: {key}: there is no such key", hint=hint)
