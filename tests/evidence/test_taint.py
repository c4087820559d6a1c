"""A kernel's taint: its letters, and when it is a complaint of its own."""

from __future__ import annotations

from lab.evidence.splats import Splat
from lab.evidence.taint import letters, taint_splat


def test_flags_are_letters_by_their_bits() -> None:
    assert letters(0) == frozenset()
    assert letters((1 << 12) | (1 << 13)) == {"O", "E"}
    assert letters(1 | 1 << 5 | 1 << 7 | 1 << 9 | 1 << 14) == {"P", "B", "D", "W", "L"}


def test_a_driver_that_is_a_module_is_no_trouble() -> None:
    assert taint_splat(frozenset("OE"), []) is None


def test_trouble_that_nothing_in_the_log_explains_is_a_complaint() -> None:
    found = taint_splat(frozenset("OEW"), [])
    assert found is not None
    assert (found.kind, found.title) == ("taint", "the kernel is tainted: W (it warned)")


def test_trouble_that_a_splat_explains_is_told_by_that() -> None:
    assert taint_splat(frozenset("W"), [Splat("WARNING", "WARNING: x", (), None)]) is None
