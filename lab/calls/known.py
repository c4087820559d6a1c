"""Which of a call's faults the driver's manifest knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from lab.calls.judge import Fault
from lab.drivers.gaps import Gap


def gap_of(fault: Fault, gaps: Sequence[Gap]) -> Gap | None:
    """The gap that a fault falls into."""
    return next((gap for gap in gaps if _covers(gap, fault)), None)


def untrue(gaps: Sequence[Gap], found: Iterable[Fault], variants: Set[str]) -> list[str]:
    """What the gaps say that was not seen: a variant (of those that were tried) or a parameter that is right."""
    covered = [(gap, fault) for fault in found for gap in gaps if _covers(gap, fault)]
    wrong = []
    for gap in gaps:
        mine = [fault for other, fault in covered if other is gap]
        tried = [name for name in gap.variant if name in variants]
        wrong += [f"{name}: {gap.text}" for name in tried if name not in {fault.variant for fault in mine}]
        if tried or not gap.variant:
            wrong += [f"{name}: {gap.text}" for name in gap.param if name not in {fault.what for fault in mine}]
    return wrong


def told(name: str, found: Sequence[Fault]) -> str:
    """A failure's message: all faults in its first line, and one a line below."""
    kinds: dict[str, list[str]] = {}
    for fault in found:
        kinds.setdefault(fault.variant, []).append(fault.what)
    first = " ".join(f"[{variant}: {', '.join(whats)}]" for variant, whats in kinds.items())
    lines = "".join(f"\n{fault.variant}: {fault.told}" for fault in found)
    return f"{name} is reported wrong {first}{lines}"


def _covers(gap: Gap, fault: Fault) -> bool:
    return (not gap.variant or fault.variant in gap.variant) and (not gap.param or fault.what in gap.param)
