"""A driver's own C program for the guest: built static, for its architecture."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
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
    cross = arch != host()
    builder = builder_root(
        "programs", store, settings, notice, extra=(arch.cross_package("gcc"),) if cross else ("gcc",)
    )
    target = sysroot(arch, program.packages, store, settings, notice)
    sources = _sources(driver, program)
    inputs = {
        "name": f"{driver.manifest.name}/{program.folder}",
        "folder": content_digest(folder),
        "program": program.model_dump(mode="json"),
        "builder": builder.key,
        "sysroot": target.key,
        "arch": arch.name,
        "layout": 1,
    }

    def fill(place: Path) -> dict[str, Any]:
        notice(f"building {program.folder} of {driver.name} for {arch.name}")
        log = store.state("logs") / f"program-{key_of(inputs)}.log"
        log.unlink(missing_ok=True)
        work = place / "build"
        shutil.copytree(folder, work)
        compiler = f"{arch.prefix if cross else ''}gcc"
        includes = [f"-I{path}" for path in (".", *program.include)]
        libraries = [f"-l{name}" for name in program.libraries]
        root = f"--sysroot={_SYSROOT}"
        command = [compiler, root, *FLAGS, *includes, "-o", "/build/.program", *sources, *libraries]
        mounts = {_SYSROOT: target.root}
        done = builder.run(command, work=work, deadline=_DEADLINE, log=log, mounts=mounts, output=output)
        if done.status != 0:
            raise BuildError(
                f"the program {program.folder} of {driver.name} does not build for {arch.name}: "
                f"{first_error(done.text)}",
                hint="read the log",
                log=log,
            )
        shutil.move(work / ".program", place / "program")
        shutil.rmtree(work)
        return {"compiler": compiler}

    return store.get("program", inputs, fill).files / "program"


def _sources(driver: DriverMode, program: Program) -> list[str]:
    folder = driver.folder / program.folder
    found = sorted(str(path.relative_to(folder)) for pattern in program.sources for path in folder.glob(pattern))
    if not found:
        raise BuildError(
            f"the program of {driver.name} has no sources: {folder} holds no {', '.join(program.sources)}",
            hint="correct consumer.program in driver.toml",
        )
    return found
