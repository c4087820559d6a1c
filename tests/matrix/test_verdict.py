"""A run is green only when everything planned has reported and nothing of it is bad."""

from __future__ import annotations

from collections import Counter

import pytest

from lab.matrix.verdict import Verdict, complete, describe, silent_cells, tally, worst

PLANNED = {"a[1]": "one", "b[1]": "one", "a[2]": "two"}


def test_what_did_not_report_is_missing() -> None:
    verdicts = complete(PLANNED, {"a[1]": Verdict.PASSED, "never planned": Verdict.FAILED})
    assert verdicts == {"a[1]": Verdict.PASSED, "b[1]": Verdict.MISSING, "a[2]": Verdict.MISSING}


def test_verdicts_are_counted_by_cell() -> None:
    counts = tally(PLANNED, dict.fromkeys(PLANNED, Verdict.PASSED) | {"b[1]": Verdict.LOST})
    assert counts == {"one": Counter({"passed": 1, "lost": 1}), "two": Counter({"passed": 1})}


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.FAILED, Verdict.GAP])
def test_a_cell_that_showed_something_is_not_silent(verdict: Verdict) -> None:
    assert silent_cells({"one": Counter({verdict: 1, Verdict.UNSUPPORTED: 5})}) == []


@pytest.mark.parametrize("verdict", [Verdict.UNSUPPORTED, Verdict.ERROR, Verdict.LOST, Verdict.MISSING])
def test_a_cell_that_showed_nothing_is_silent(verdict: Verdict) -> None:
    assert silent_cells({"one": Counter({verdict: 3}), "two": Counter({Verdict.PASSED: 1})}) == ["one"]


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.ERROR, Verdict.LOST, Verdict.MISSING])
def test_one_bad_verdict_spoils_a_run(verdict: Verdict) -> None:
    assert worst([Verdict.PASSED, verdict])


def test_gaps_and_unsupported_scenarios_do_not() -> None:
    assert not worst([Verdict.PASSED, Verdict.GAP, Verdict.UNSUPPORTED])


def test_counts_are_told_in_a_fixed_order() -> None:
    assert describe(Counter({Verdict.LOST: 1, Verdict.PASSED: 2})) == "2 passed, 1 lost"
    assert describe(Counter()) == "nothing"


def test_the_words_are_those_of_the_design() -> None:
    assert " ".join(Verdict) == "passed failed gap unsupported error lost missing"
