"""What many measurements of one thing come to. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Samples in short, in their own unit: `first` and `third` are the quartiles, between which half of them lie."""

    count: int
    median: float
    least: float
    first: float
    third: float
    most: float


@dataclass(frozen=True)
class Ratio:
    """How many times longer one thing takes than another: by their medians, and at least and at most as their quartiles
    leave it."""

    value: float
    least: float
    most: float


def spread(samples: Sequence[float]) -> Spread:
    """The spread of at least one sample; ValueError for none."""
    if not samples:
        raise ValueError("no samples")
    # One sample has no quartiles of its own.
    first, median, third = statistics.quantiles([*samples] * (2 if len(samples) == 1 else 1), n=4, method="inclusive")
    return Spread(len(samples), median, min(samples), first, third, max(samples))


def ratio(slow: Spread, quick: Spread) -> Ratio:
    """How many times longer `slow` takes than `quick`, which takes some time."""
    return Ratio(slow.median / quick.median, slow.first / quick.third, slow.third / quick.first)
