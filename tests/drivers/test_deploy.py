"""How a consumer's end is told."""

from __future__ import annotations

import pytest

from lab.drivers.words import how_it_ended


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("lab: ended with status 135\n", "signal 7 (Bus error): it said nothing"),
        ("cannot open\nlab: ended with status 1\n", "status 1: cannot open"),
        ("lab: ended with status 0\n", "status 0: it said nothing"),
        ("its last word\n", "its last word"),
        ("lab: ended with status 999\n", "status 999: it said nothing"),
        ("lab: ended with status 1 or so\n", "lab: ended with status 1 or so"),
    ],
)
def test_a_consumers_end_is_told_with_its_signal_or_status(said: str, told: str) -> None:
    assert how_it_ended(said) == told
