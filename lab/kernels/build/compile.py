"""Compiling a kernel: resumed where it was interrupted, what was compiled before taken from a cache."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.arches import Arch, host
from lab.archives.suites import compilers_suite
from lab.errors import BuildError, LabError, NoSpaceError
from lab.images.builder import Builder, builder_root, command_in
from lab.kernels.build.config import Wanted, demand_taken, fragments, known_options, merged, text_of
from lab.kernels.build.harvest import IMAGES, harvest
from lab.kernels.build.resume import drop_half_made
from lab.kernels.build.sources import LinuxSource, find_source, lay_out
from lab.kernels.build.wish import Wish
from lab.process import ProgramFailedError, reading
from lab.settings import Settings
from lab.store import Entry, Store, file_digest, key_of

KIND = "linux"
_DEADLINE = 4 * 3600.0
_ROOM_MIB = 4096
_COMPILERS = {"bullseye": "gcc-10", "bookworm": "gcc-12", "trixie": "gcc-14"}
# What a first build comes to, before this host has seen one; only the bar's length.
_USUAL_OBJECTS = 2600
_COMPILED = re.compile(rb"^  (?:CC|AS)(?: \[M\])? ")
_CACHE = "/ccache"
_CACHE_SIZE = "4G"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Work:
    """One build: `tree` holds sources and objects and is /build in the builder, `log` what make said."""

    wish: Wish
    arch: Arch
    builder: Builder
    compiler: str
    tree: Path
    cache: Path
    log: Path


def build_kernel(
    wish: Wish,
    arch: Arch,
    store: Store,
    settings: Settings,
    notice: Callable[[str], None],
    progress: Progress = lambda _done, _total: None,
) -> Entry:
    """The kernel, compiled now when the store has it not; `progress(done, total)` counts compiled files.

    What an interrupted build had compiled is kept, for the next. BuildError names the log.
    """
    names = fragments(wish, arch)  # before anything is fetched
    source = find_source(wish, store, settings, notice)
    suite = compilers_suite(wish.suite)
    compiler = _COMPILERS[suite]
    programs = (compiler, *(() if arch == host() else (arch.cross_package(compiler),)))
    pahole = "dwarves" if suite == "bullseye" else "pahole"
    builder = builder_root("linux", store, settings, notice, suite=suite, extra=(*programs, pahole))
    inputs = {
        "source": source.identity,
        "arch": arch.name,
        "host": host().name,
        "fragments": {path.name: file_digest(path) for path in names},
        "builder": builder.key,
        "layout": 1,
    }

    def fill(folder: Path) -> dict[str, Any]:
        slug = f"{arch.name}-{wish.name}" + (f"-{key_of({'source': str(wish.source)})[:8]}" if wish.source else "")
        place = store.state("linux") / slug
        with store.lock(f"linux-{slug}"):
            _demand_room(place.parent)
            tree = place / "tree"
            work = _Work(wish, arch, builder, compiler, tree, store.state("linux-ccache"), place / "build.log")
            return _build(work, source, folder, notice, progress)

    entry = store.get(KIND, inputs, fill)
    note = {"request": wish.request, "inputs": inputs, "made": time.time()}
    (store.state("built") / f"{note_name(wish, arch)}.json").write_text(json.dumps(note))
    return entry


def note_name(wish: Wish, arch: Arch) -> str:
    """Where it is noted which entry a request means since it was last built."""
    return key_of({"request": wish.request, "arch": arch.name})


def _build(
    work: _Work, source: LinuxSource, folder: Path, notice: Callable[[str], None], progress: Progress
) -> dict[str, Any]:
    notice(f"compiling {work.wish.name} for {work.arch.name} in {work.tree}; an interrupted build goes on there")
    started = time.monotonic()
    work.tree.parent.mkdir(parents=True, exist_ok=True)
    work.log.unlink(missing_ok=True)
    lay_out(source, work.tree)
    drop_half_made(work.tree)
    lacking = _configure(work, merged(work.wish, work.arch))
    if lacking:
        notice(f"{work.wish.series} does without {', '.join(lacking)} on {work.arch.name}")
    total = work.tree.parent / "objects"
    expected = int(total.read_text()) if total.is_file() else _USUAL_OBJECTS
    done = sum(1 for _ in work.tree.rglob("*.o"))

    def compiled(line: bytes) -> None:
        nonlocal done
        if _COMPILED.match(line):
            done += 1
            progress(min(done, expected), expected)

    image = IMAGES[work.arch.name]
    _make(work, ["-j2", Path(image).name, "modules"], compiled)
    total.write_text(str(sum(1 for _ in work.tree.rglob("*.o"))))
    staging = ".lab-modules"
    shutil.rmtree(work.tree / staging, ignore_errors=True)
    _make(work, [f"INSTALL_MOD_PATH=/build/{staging}", "INSTALL_MOD_STRIP=1", "DEPMOD=true", "modules_install"])
    release = harvest(work.tree, work.tree / staging, work.arch, folder)
    return {
        **source.provenance,
        "kernel": work.wish.name,
        "release": release,
        "compiler": f"{work.compiler} {work.builder.packages.get(work.compiler, '')}".strip(),
        "seconds": round(time.monotonic() - started),
    }


def _configure(work: _Work, wanted: Wanted) -> tuple[str, ...]:
    """Everything off but what the fragments want; returns what these sources do without."""
    listed = work.tree / ".lab-config"
    listed.write_text(text_of(wanted.options))
    _make(work, [f"KCONFIG_ALLCONFIG=/build/{listed.name}", "allnoconfig"])
    return demand_taken(wanted, (work.tree / ".config").read_text(), known_options(work.tree))


def _make(work: _Work, targets: list[str], said: Callable[[bytes], None] = lambda _: None) -> None:
    cross = "" if work.arch == host() else work.arch.prefix
    variables = {
        "ARCH": work.arch.kbuild,
        "CROSS_COMPILE": cross,
        "CC": f"ccache {cross}{work.compiler}",
        "HOSTCC": f"ccache {work.compiler}",
        # The same bits whenever and wherever they are made, which the cache needs as well.
        "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
        "KBUILD_BUILD_USER": "lab",
        "KBUILD_BUILD_HOST": "lab",
    }
    environment = {"CCACHE_DIR": _CACHE, "CCACHE_MAXSIZE": _CACHE_SIZE, "CCACHE_COMPILERCHECK": "content"}
    argv = [
        *("env", *(f"{name}={value}" for name, value in environment.items())),
        *("make", *(f"{name}={value}" for name, value in variables.items()), *targets),
    ]
    command = command_in(work.builder.root, argv, work.tree, writable={_CACHE: work.cache})
    try:
        with work.log.open("ab") as log, reading(command, deadline=_DEADLINE) as stream:
            for line in stream:
                log.write(line)
                said(line)
    except ProgramFailedError as error:
        with work.log.open("a") as log:
            log.write(error.output)
        what = f"kernel {work.wish.name} for {work.arch.name} does not build: {_first_error(error.output)}"
        raise BuildError(what, hint="read the log", log=work.log) from error
    except LabError as error:
        error.log = work.log
        raise


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if "error" in line.lower() or "***" in line]
    return (lines or output.strip().splitlines()[-1:] or ["make said nothing"])[0][:300]


def _demand_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free >> 20
    if free < _ROOM_MIB:
        what = f"{free} MiB are free at {folder}, and compiling a kernel takes {_ROOM_MIB}"
        raise NoSpaceError(what, hint="lab gc lists what can go; or set LAB_STORE to another disk")
