"""The small initrd that is made for each kernel: it loads what the kernel has as modules and mounts the root."""

from __future__ import annotations

import hashlib
import lzma
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.images.cpio import CpioFile, cpio_archive
from lab.images.recipe import RECIPES
from lab.kernels.kernel import Kernel
from lab.store import Store

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_FOLDERS = ("proc", "sys", "dev", "lower", "upper", "new", "modules", "lab")


@dataclass(frozen=True)
class ModulePlan:
    """Modules in the order they must be loaded (paths below the kernel's module folder), and the names it lacks."""

    files: tuple[str, ...]
    absent: tuple[str, ...]


def make_initrd(kernel: Kernel, busybox: Path, store: Store) -> Path:
    """The initrd for `kernel`, from the store; `busybox` is a static one for the kernel's architecture."""
    init = (RECIPES / "initrd" / "init").read_bytes()
    wanted = read_wanted((RECIPES / "initrd" / "modules").read_text())
    shell = busybox.read_bytes()
    inputs = {
        "kernel": kernel.key,
        "init": hashlib.sha256(init).hexdigest(),
        "busybox": hashlib.sha256(shell).hexdigest(),
        "modules": wanted,
        "layout": 1,
    }

    def fill(folder: Path) -> dict[str, Any]:
        plan = plan_modules(kernel.modules, wanted)
        files = {"init": CpioFile(init, 0o755), "bin/busybox": CpioFile(shell, 0o755)}
        for number, name in enumerate(plan.files):
            plain = Path(name).name.partition(".ko")[0] + ".ko"
            files[f"modules/{number:02d}-{plain}"] = CpioFile(unpack_module(kernel.modules / name))
        (folder / "initrd").write_bytes(cpio_archive(files, _FOLDERS))
        return {"modules": list(plan.files), "absent": list(plan.absent)}

    return store.get("initrd", inputs, fill).files / "initrd"


def read_wanted(text: str) -> list[str]:
    """Module names of images/initrd/modules: one a line, with the reason behind a #."""
    names = (line.partition("#")[0].strip() for line in text.splitlines())
    return [name for name in names if name]


def plan_modules(folder: Path, wanted: Iterable[str]) -> ModulePlan:
    """Which of `wanted` are modules here, with what they depend on, first what the others need.

    modules.dep lists for each module all it needs, the nearest first (modprobe's documentation); what is built into
    the kernel stands in modules.builtin and needs nothing.
    """
    needs = _dependencies((folder / "modules.dep").read_text())
    built_in = {_name(line) for line in (folder / "modules.builtin").read_text().split()}
    paths = {_name(path): path for path in needs}
    files: dict[str, None] = {}
    absent = []
    for name in (_name(word) for word in wanted):
        if name in paths:
            for path in [*reversed(needs[paths[name]]), paths[name]]:
                files[path] = None
        elif name not in built_in:
            absent.append(name)
    return ModulePlan(tuple(files), tuple(absent))


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


def _dependencies(text: str) -> dict[str, list[str]]:
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {path: rest.split() for path, _, rest in pairs}


def _name(path: str) -> str:
    return Path(path).name.partition(".ko")[0].replace("-", "_")
