"""Functions and offsets as files and lines, where debug information is at hand: of modules that the lab built, that is
the debug.ko beside each in the store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lab.drivers.build import DriverBuild
from lab.errors import LabError
from lab.evidence.details import Details, Frame
from lab.evidence.splats import Splat
from lab.process import run, which

_DEADLINE = 10.0
_PLACE = re.compile(r"[^:?]+:[1-9]\d*")
# How many places of one splat are looked up: each is a program's run (5 ms).
_MAX_LOOKUPS = 24


class Symbols:
    """Looks places up in `files`: by module, files with debug information; "" is the kernel's own vmlinux.

    What is not found keeps its function and offset, and so does everything on a host without eu-addr2line.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._known: dict[tuple[str, str, int], str] = {}

    def locate(self, splat: Splat) -> Splat:
        """The splat with the lines of its site, its culprit and its call trace."""
        parts = splat.details
        trace = self._callers(parts.trace)
        site = self._site(parts, trace)
        within = [frame for frame in (site, *trace) if frame is not None and frame.module]
        return replace(splat, located=replace(parts, site=site, culprit=within[0] if within else site, trace=trace))

    def _callers(self, trace: Sequence[Frame]) -> tuple[Frame, ...]:
        # What stands in a trace is where a call returns to: the call itself is before it.
        located = [replace(frame, source=self._line(frame, frame.offset - 1)) for frame in trace[:_MAX_LOOKUPS]]
        return (*located, *trace[_MAX_LOOKUPS:])

    def _site(self, parts: Details, trace: Sequence[Frame]) -> Frame | None:
        if parts.site is None or parts.site in parts.trace[1:]:
            return next((frame for frame, plain in zip(trace, parts.trace, strict=True) if plain == parts.site), None)
        # The very place, which arm64 puts at the head of the trace, too.
        return replace(parts.site, source=self._line(parts.site, parts.site.offset))

    def _line(self, frame: Frame, offset: int) -> str:
        key = (frame.module, frame.function, offset)
        if key not in self._known:
            file = self._files.get(frame.module)
            usable = file is not None and 0 <= offset < frame.size
            self._known[key] = _look_up(file, frame.function, offset) if file is not None and usable else ""
        return self._known[key]


def _look_up(file: Path, function: str, offset: int) -> str:
    """ "driver.c:123", or nothing: of what was inlined there, the line in the function itself."""
    try:
        program = which("eu-addr2line", package="elfutils")
        said = run(
            [program, "-s", "-i", "-e", file, "--", f"{function}+{offset:#x}"], deadline=_DEADLINE, check=False
        ).text
    except LabError:
        return ""
    found = _PLACE.match((said.strip().splitlines() or [""])[-1])
    return found[0] if found else ""


def symbols_of(build: DriverBuild | None) -> Symbols:
    """The symbols of a driver that the lab built; of none, none."""
    if build is None or build.module is None:
        return Symbols({})
    return Symbols({build.module.stem.replace("-", "_"): build.module.with_name("debug.ko")})
