"""What a guest needs of its kernel (images/initrd/features.toml), and what a kernel lacks of it."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lab.errors import RequestError, UnsupportedError
from lab.kernels.kernel import Kernel

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Feature(BaseModel):
    """One feature: the option that builds it in, and what it is for. `quiet`: nobody misses it by itself."""

    model_config = _STRICT

    config: str
    why: str
    quiet: bool = False


class Features(BaseModel):
    """All of them, by their module's name as lsmod has it."""

    model_config = _STRICT

    required: Mapping[str, Feature]
    optional: Mapping[str, Feature]

    def names(self) -> list[str]:
        """In the order in which they are loaded."""
        return [*self.required, *self.optional]


def read_features(path: Path) -> Features:
    """The file's features; RequestError when it cannot be read."""
    try:
        return Features.model_validate(tomllib.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read: {error}", hint="correct the file") from error


def demand_features(kernel: Kernel, features: Features, present: Collection[str], built_in: Collection[str]) -> None:
    """UnsupportedError when the kernel lacks something required: neither among its modules nor built in."""
    for name, feature in features.required.items():
        if _lacks(kernel, name, feature, present, built_in):
            what = f"kernel {kernel.release} has no {name} (CONFIG_{feature.config})"
            raise UnsupportedError(f"{what}, which every guest needs: {feature.why}")


def lost_features(
    kernel: Kernel, features: Features, present: Collection[str], built_in: Collection[str]
) -> tuple[str, ...]:
    """What the guest will be without, one sentence each."""
    return tuple(
        f"kernel {kernel.release} has no {name} (CONFIG_{feature.config}): {feature.why}"
        for name, feature in features.optional.items()
        if not feature.quiet and _lacks(kernel, name, feature, present, built_in)
    )


def _lacks(kernel: Kernel, name: str, feature: Feature, present: Collection[str], built_in: Collection[str]) -> bool:
    """Whether it is surely not there: a kernel that says nothing of itself gets the benefit of the doubt.

    An option that is "m" without a module is a module that was left out of the package.
    """
    if name in present or name in built_in:
        return False
    return kernel.config is not None and kernel.option(feature.config) != "y"
