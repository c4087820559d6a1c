"""A driver's own program for the guest, in C or C++: built for its architecture."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lab.arches import Arch, host
from lab.drivers.manifest import DriverMode
from lab.drivers.schema import Program
from lab.drivers.work import Output
from lab.errors import BuildError
from lab.images.builder import builder_root
from lab.images.programs import FLAGS, first_error
from lab.images.sysroot import sysroot
from lab.settings import Settings
from lab.store import Store, content_digest, key_of

_DEADLINE = 300.0
_SYSROOT = "/sysroot"
_MADE = ".program"
_COMPILERS: Mapping[str, str] = MappingProxyType({"c": "gcc", "c++": "g++"})


def build_reader(
    driver: DriverMode,
    program: Program,
    arch: Arch,
    store: Store,
    settings: Settings,
    notice: Callable[[str], None],
    output: Output | None = None,
) -> Path:
    """The program, from the store when nothing that goes into it changed; BuildError quotes the first error."""
    folder = driver.folder / program.folder
    compiler = _COMPILERS[program.language]
    package = arch.cross_package(compiler) if arch != host() else compiler
    builder = builder_root("programs", store, settings, notice, extra=(package,))
    target = sysroot(arch, program.packages, store, settings, notice)
    words = _words(driver, program, arch)
    inputs = {
        "name": f"{driver.manifest.name}/{program.folder}",
        "folder": content_digest(folder),
        "command": words,
        "builder": builder.key,
        "sysroot": target.key,
        "layout": 2,
    }

    def fill(place: Path) -> dict[str, Any]:
        what = f"{program.folder} of {driver.name}"
        notice(f"building {what} for {arch.name}")
        log = store.state("logs") / f"program-{key_of(inputs)}.log"
        log.unlink(missing_ok=True)
        work = place / "build"
        shutil.copytree(folder, work)
        mounts = {_SYSROOT: target.root}
        done = builder.run(words, work=work, deadline=_DEADLINE, log=log, mounts=mounts, output=output)
        if done.status != 0:
            why = f"the program {what} does not build for {arch.name}: {first_error(done.text)}"
            raise BuildError(why, hint="read the log", log=log)
        shutil.move(work / _MADE, place / "program")
        shutil.rmtree(work)
        return {"compiler": words[0]}

    return store.get("program", inputs, fill).files / "program"


def _words(driver: DriverMode, program: Program, arch: Arch) -> list[str]:
    """The compiler's command line, in the folder of the program."""
    return [
        f"{arch.prefix if arch != host() else ''}{_COMPILERS[program.language]}",
        f"--sysroot={_SYSROOT}",
        *(flag for flag in FLAGS if program.static or flag != "-static"),
        *(f"-I{path}" for path in (".", *program.include)),
        *(word for path in program.headers for word in ("-isystem", f"={path}")),
        *("-o", _MADE),
        *_sources(driver, program),
        *(f"-l{name}" for name in program.libraries),
    ]


def _sources(driver: DriverMode, program: Program) -> list[str]:
    folder = driver.folder / program.folder
    found = sorted(str(path.relative_to(folder)) for pattern in program.sources for path in folder.glob(pattern))
    if not found:
        raise BuildError(
            f"the program of {driver.name} has no sources: {folder} holds no {', '.join(program.sources)}",
            hint="correct consumer.program in driver.toml",
        )
    return found
