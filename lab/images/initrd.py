"""The small initrd that is made for each kernel: it loads what the kernel has as modules and mounts the root."""

from __future__ import annotations

import hashlib
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.images.cpio import CpioFile, cpio_archive
from lab.images.features import demand_features, lost_features, read_features
from lab.images.recipe import RECIPES
from lab.kernels.kernel import Kernel
from lab.store import Store

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MODULE = re.compile(r"[^.].*\.ko(\.(xz|zst|gz))?")
_DEPENDS = re.compile(rb"\0depends=([a-zA-Z0-9_,-]*)\0")
_FOLDERS = ("proc", "sys", "dev", "lower", "upper", "new", "modules", "lab")


@dataclass(frozen=True)
class ModulePlan:
    """Modules in the order they must be loaded (paths below the kernel's module folder), what of the wanted is among
    them, and what the kernel says is built in."""

    files: tuple[str, ...]
    loaded: frozenset[str]
    built_in: frozenset[str]


def make_initrd(kernel: Kernel, busybox: Path, store: Store, notice: Callable[[str], None]) -> Path:
    """The initrd for `kernel`, from the store; `busybox` is a static one for the kernel's architecture.

    UnsupportedError when the kernel lacks what every guest needs; a notice for each feature that is lost.
    """
    init = (RECIPES / "initrd" / "init").read_bytes()
    features = read_features(RECIPES / "initrd" / "features.toml")
    plan = plan_modules(kernel.modules, features.names())
    demand_features(kernel, features, plan.loaded, plan.built_in)
    for sentence in lost_features(kernel, features, plan.loaded, plan.built_in):
        notice(sentence)
    shell = busybox.read_bytes()
    inputs = {
        "kernel": kernel.key,
        "init": hashlib.sha256(init).hexdigest(),
        "busybox": hashlib.sha256(shell).hexdigest(),
        "modules": plan.files,
        "layout": 1,
    }

    def fill(folder: Path) -> dict[str, Any]:
        files = {"init": CpioFile(init, 0o755), "bin/busybox": CpioFile(shell, 0o755)}
        for number, name in enumerate(plan.files):
            plain = Path(name).name.partition(".ko")[0] + ".ko"
            files[f"modules/{number:02d}-{plain}"] = CpioFile(unpack_module(Path(kernel.modules or "") / name))
        (folder / "initrd").write_bytes(cpio_archive(files, _FOLDERS))
        return {"modules": list(plan.files)}

    return store.get("initrd", inputs, fill).files / "initrd"


def plan_modules(folder: Path | None, wanted: Sequence[str]) -> ModulePlan:
    """Which of `wanted` are modules here, with all they depend on, first what the others need.

    What a module needs stands in the module itself (.modinfo, "depends="): packages carry no modules.dep, which a
    maintainer script makes. What is built into the kernel stands in modules.builtin and needs nothing. `folder`
    may be a build tree, where kbuild's notes lie beside the modules.
    """
    modules = folder.rglob("*.ko*") if folder else ()
    paths = {_name(path.name): path for path in sorted(modules) if _MODULE.fullmatch(path.name)}
    ordered: dict[str, Path] = {}
    for name in (_name(word) for word in wanted):
        if name in paths:
            _order(name, paths, ordered)
    files = tuple(str(path.relative_to(folder or "/")) for path in ordered.values())
    return ModulePlan(files, frozenset(ordered), _built_in(folder))


def _built_in(folder: Path | None) -> frozenset[str]:
    """What could be a module and is built in; empty too where no list of it lies."""
    try:
        return frozenset(_name(line) for line in ((folder or Path()) / "modules.builtin").read_text().split())
    except FileNotFoundError:
        return frozenset()


def _order(name: str, paths: Mapping[str, Path], ordered: dict[str, Path]) -> None:
    if name in ordered or name not in paths:
        return
    for needed in depends_of(unpack_module(paths[name])):
        _order(needed, paths, ordered)
    ordered[name] = paths[name]


def depends_of(module: bytes) -> list[str]:
    """The modules that a module's .modinfo says it needs; none for data without one."""
    match = _DEPENDS.search(module)
    return [_name(word) for word in match.group(1).decode().split(",") if word] if match else []


def unpack_module(path: Path) -> bytes:
    """A module's plain content: kernels before 5.17 cannot unpack one themselves, and busybox never can."""
    data = path.read_bytes()
    match path.suffix:
        case ".xz":
            return lzma.decompress(data)
        case ".zst":
            return zstd.decompress(data)
        case ".gz":
            return zlib.decompress(data, wbits=31)
    return data


def _name(path: str) -> str:
    return Path(path).name.partition(".ko")[0].replace("-", "_")
