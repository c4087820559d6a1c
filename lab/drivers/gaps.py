"""Known gaps: what a manifest says that its driver does not do."""

from __future__ import annotations

from collections.abc import Sequence, Set

from lab.drivers.schema import Gap, Mode
from lab.errors import UnsupportedError
from lab.kernels.kernel import Kernel
from lab.kernels.request import parse_several


def gap_for(gaps: Sequence[Gap], scenario: str, subjects: Set[str], kernel: Kernel) -> Gap | None:
    """The gap that a scenario (its function's name, and the calls and events it is about) falls into on that kernel."""
    found = (gap for gap in gaps if not gap.narrow and _concerns(gap, scenario, subjects) and _is_there(gap, kernel))
    return next(found, None)


def narrow_gaps(gaps: Sequence[Gap], scenario: str, subjects: Set[str], kernel: Kernel) -> list[Gap]:
    """Those of some of the scenario's variants and parameters."""
    return [gap for gap in gaps if gap.narrow and _concerns(gap, scenario, subjects) and _is_there(gap, kernel)]


def demand_seen(mode: Mode, driver: str, subjects: Set[str]) -> None:
    """UnsupportedError when a scenario is about calls and events alone that this mode does not look at."""
    if mode.sees and subjects and subjects.isdisjoint(mode.sees):
        raise UnsupportedError(f"{driver} does not look at {', '.join(sorted(subjects))} (its manifest: sees)")


def build_gap(gaps: Sequence[Gap], kernel: Kernel) -> Gap | None:
    """The gap that says that the driver does not build for that kernel."""
    return next((gap for gap in gaps if gap.build and _is_there(gap, kernel)), None)


def _concerns(gap: Gap, scenario: str, subjects: Set[str]) -> bool:
    named = gap.scenario in ("", scenario) and (not gap.event or not subjects.isdisjoint(gap.event))
    return named and not gap.build


def _is_there(gap: Gap, kernel: Kernel) -> bool:
    there = not gap.kernels or parse_several(gap.kernels).admits(kernel.series)
    return there and (not gap.arches or kernel.arch.name in gap.arches)
