"""The configuration of a kernel to be compiled, out of fragments in images/kernels/; and whether it was taken."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.arches import Arch
from lab.errors import BuildError, RequestError
from lab.images.recipe import RECIPES
from lab.kernels.build.wish import Wish

FOLDER = RECIPES / "kernels"
_LINE = re.compile(r"(CONFIG_[A-Z0-9_]+)=(\S.*)")
# Of a fragment: NAME?=VALUE is taken where it can be, for what some series have on some architectures only.
_WANTED = re.compile(r"(CONFIG_[A-Z0-9_]+)(\??)=(\S.*)")
_SYMBOL = re.compile(r"^\s*(?:menu)?config\s+([A-Z0-9_]+)\s*$", re.MULTILINE)
_LARGEST = 1 << 20  # bytes of a Kconfig file that are read


def fragments(wish: Wish, arch: Arch, folder: Path = FOLDER) -> tuple[Path, ...]:
    """The files that make the configuration, the later ones winning; RequestError for an architecture without one."""
    files = tuple(folder / f"{name}.config" for name in ("base", arch.name, *wish.variants))
    for path in files:
        if not path.is_file():
            raise RequestError(f"the lab builds no kernel for {path.stem}", hint="choose amd64 or arm64")
    return files


@dataclass(frozen=True)
class Wanted:
    """All options by their name with CONFIG_; the kernel is good without those that are `optional`."""

    options: dict[str, str]
    optional: frozenset[str] = frozenset()


def merged(wish: Wish, arch: Arch, folder: Path = FOLDER) -> Wanted:
    """What the fragments want; RequestError names a line that is no option."""
    options: dict[str, str] = {}
    optional: set[str] = set()
    for path in fragments(wish, arch, folder):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            match = _WANTED.fullmatch(line.strip())
            if match is None:
                raise RequestError(f"{path}:{number} is no CONFIG_NAME=VALUE: {line!r}", hint="correct the fragment")
            options[match[1]] = match[3]
            (optional.add if match[2] else optional.discard)(match[1])
    tag = "".join(f"-{variant}" for variant in wish.variants)
    return Wanted({**options, "CONFIG_LOCALVERSION": f'"-lab{tag}"'}, frozenset(optional))


def text_of(options: Mapping[str, str]) -> str:
    """The options in Kconfig's own form."""
    lines = (f"# {name} is not set" if value == "n" else f"{name}={value}" for name, value in options.items())
    return "".join(f"{line}\n" for line in lines)


def values_in(config: str) -> dict[str, str]:
    """What a .config sets; what it does not is not there."""
    return {match[1]: match[2] for line in config.splitlines() if (match := _LINE.fullmatch(line))}


def demand_taken(wanted: Wanted, config: str, known: Iterable[str]) -> tuple[str, ...]:
    """BuildError when an option that the sources know is not as it was wanted, unless it is optional; returns all that
    are not."""
    values, names = values_in(config), set(known)
    unlike = [name for name, value in wanted.options.items() if values.get(name, "n") != value]
    lost = [name for name in unlike if name.removeprefix("CONFIG_") in names and name not in wanted.optional]
    if lost:
        shown = ", ".join(f"{name}={values.get(name, 'n')} instead of {wanted.options[name]}" for name in lost[:5])
        raise BuildError(
            f"{len(lost)} options of the kernel's configuration were not taken: {shown}",
            hint="something that they depend on is missing in images/kernels/",
        )
    return tuple(unlike)


def known_options(tree: Path) -> frozenset[str]:
    """Every option that the sources know, without CONFIG_."""
    names: set[str] = set()
    for parent, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if name != ".git"]
        for name in files:
            if name.startswith("Kconfig"):
                with (Path(parent) / name).open(errors="replace") as stream:
                    names.update(_SYMBOL.findall(stream.read(_LARGEST)))
    return frozenset(names)
