"""Samples in short: medians, quartiles, and how many times longer one thing takes than another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.bench.samples import Ratio, Spread, ratio, spread

SECONDS = st.floats(min_value=0.001, max_value=1000.0)


def test_a_spread_is_the_median_the_quartiles_and_the_ends() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(5, 3.0, 1.0, 2.0, 4.0, 5.0)
    assert spread([1.0, 2.0]) == Spread(2, 1.5, 1.0, 1.25, 1.75, 2.0)


def test_one_sample_is_all_of_its_spread() -> None:
    assert spread([0.5]) == Spread(1, 0.5, 0.5, 0.5, 0.5, 0.5)


def test_no_sample_has_no_spread() -> None:
    with pytest.raises(ValueError, match="no samples"):
        spread([])


def test_a_ratio_is_that_of_the_medians_between_those_of_the_quartiles() -> None:
    slow, quick = Spread(5, 10.0, 8.0, 9.0, 12.0, 20.0), Spread(5, 1.0, 0.5, 0.9, 1.5, 2.0)
    assert ratio(slow, quick) == Ratio(10.0, 9.0 / 1.5, 12.0 / 0.9)


@given(st.lists(SECONDS, min_size=1), st.lists(SECONDS, min_size=1))
def test_what_is_told_lies_in_its_order(slow: list[float], quick: list[float]) -> None:
    short = spread(slow)
    assert short.least <= short.first <= short.median <= short.third <= short.most
    times = ratio(short, spread(quick))
    assert times.least <= times.value <= times.most
