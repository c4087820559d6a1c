"""Small static C programs for guests: actors, and the lab's own. Each is one C file, built once per content, with the
headers beside it that it includes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.arches import Arch, host
from lab.errors import BuildError, RequestError
from lab.images.builder import Builder, builder_root
from lab.settings import Settings
from lab.store import Store, file_digest

FLAGS = ("-static", "-O2", "-g0", "-Wall", "-Wextra", "-Werror", "-pthread")
_DEADLINE = 120.0
_STEP_FAILED = re.compile(r"make\[?\d*\]?: \*\*\* ")
_INCLUDED = re.compile(r'^#include "([A-Za-z0-9_-]+\.h)"$', re.MULTILINE)
_WAITING = "Waiting for unfinished jobs"
# With a place before it, or a program of the compiler's: makefiles' own helpers say "error" too.
_FIRST_ERROR = re.compile(
    r"^.*(?::\d+:|\b(?:clang|gcc|cc1|ld|llc)(?:-\d+)?:) (?:fatal )?error: .*$"
    r"|^.*undefined reference.*$|^ERROR: modpost: .*$",
    re.MULTILINE,
)


def build_program(source: Path, arch: Arch, store: Store, settings: Settings, notice: Callable[[str], None]) -> Path:
    """The static executable made from one C file; BuildError quotes the compiler's first error."""
    if not source.is_file():
        known = ", ".join(sorted(path.stem for path in source.parent.glob("*.c"))) or "none"
        raise RequestError(f"there is no program {source.stem!r} in {source.parent}", hint=f"there are: {known}")
    cross = arch != host()
    extra = (arch.cross_package("gcc"), f"libc6-dev-{arch.name}-cross") if cross else ()
    builder = builder_root("programs", store, settings, notice, extra=extra)
    own = headers(source)
    inputs: dict[str, Any] = {
        "source": file_digest(source),
        "name": source.stem,
        "builder": builder.key,
        "arch": arch.name,
        # Not even an empty list where there are none: what was built before keeps its key.
        **({"headers": {path.name: file_digest(path) for path in own}} if own else {}),
    }

    def fill(folder: Path) -> dict[str, Any]:
        for path in (source, *own):
            shutil.copy(path, folder)
        command = [f"{arch.prefix if cross else ''}gcc", *FLAGS, "-o", source.stem, source.name]
        done = builder.run(command, work=folder, deadline=_DEADLINE)
        if done.status != 0:
            output = (done.stdout + done.stderr).decode(errors="replace")
            raise BuildError(f"{source} does not build: {first_error(output)}", hint=f"correct {source.name}")
        return {"compiler": _compiler(builder)}

    return store.get("program", inputs, fill).files / source.stem


def headers(source: Path) -> list[Path]:
    """The headers beside a C file that it includes, or that these do, by name."""
    found: dict[str, Path] = {}
    left = [source]
    while left:
        for name in _INCLUDED.findall(left.pop().read_text()):
            path = source.parent / name
            if name not in found and path.is_file():
                found[name] = path
                left.append(path)
    return [found[name] for name in sorted(found)]


def errors(output: str) -> list[str]:
    """The compiler's and linker's errors in a build's output: of the last step that failed, and of those that failed
    beside it.

    Failures that make went on after were probes of what the kernel has.
    """
    steps = _STEP_FAILED.split(output)
    last = next((number for number in range(len(steps) - 1, -1, -1) if _FIRST_ERROR.search(steps[number])), -1)
    # make says so once, behind the first failure; what it had begun by then may fail too, and nothing else is begun.
    waited = next((number for number in range(last, 1, -1) if steps[number].startswith(_WAITING)), last + 2)
    return [found[0].strip() for step in steps[waited - 2 : last + 1] for found in _FIRST_ERROR.finditer(step)]


def first_error(output: str) -> str:
    """The first of its errors; its last line when there is none."""
    found = errors(output)
    if found:
        return found[0]
    lines = output.strip().splitlines()
    return lines[-1] if lines else "the build printed nothing"


def _compiler(builder: Builder) -> str:
    return ", ".join(
        f"{name} {version}" for name, version in sorted(builder.packages.items()) if name.startswith("gcc-")
    )
