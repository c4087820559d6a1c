from __future__ import annotations

import pytest

from lab.archives.suites import (
    DEBIAN,
    DISTRIBUTIONS,
    UBUNTU,
    check_name,
    compilers_suite,
    distribution_named,
    distribution_of,
    family_names,
    other_name,
    place,
)
from lab.errors import RequestError


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("trixie", ("trixie",)),
        ("trixie-security", ("trixie-security", "trixie")),
        ("trixie-backports", ("trixie-backports", "trixie", "trixie-security")),
        ("forky", ("forky",)),
        ("experimental", ("experimental", "sid")),
        ("jammy-updates", ("jammy-updates", "jammy", "jammy-security")),
        ("jammy-security", ("jammy-security", "jammy")),
    ],
)
def test_families(name: str, family: tuple[str, ...]) -> None:
    assert family_names(name) == family


@pytest.mark.parametrize(
    ("name", "release"),
    [("trixie-backports", "trixie"), ("experimental", "sid"), ("jammy-updates", "jammy"), ("noble", "noble")],
)
def test_compilers_are_the_releases_own(name: str, release: str) -> None:
    assert compilers_suite(name) == release


@pytest.mark.parametrize(
    ("name", "other"), [("trixie", "stable"), ("stable", "trixie"), ("sid", "unstable"), ("trixie-security", "")]
)
def test_a_suite_and_its_other_name(name: str, other: str) -> None:
    assert other_name(name) == other


def test_a_suite_belongs_to_one_distribution_and_what_is_unknown_to_debian() -> None:
    assert {distribution_of(name) for name in UBUNTU.suites} == {UBUNTU}
    assert {distribution_of(name) for name in (*DEBIAN.suites, "trixie-updates")} == {DEBIAN}


def test_each_suite_has_a_place_of_its_own_and_a_native_one_comes_first() -> None:
    names = [name for distribution in DISTRIBUTIONS for name in distribution.suites]
    assert sorted(names, key=place) == names
    assert place("trixie") < place("trixie-security") < place("elsewhere")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(RequestError) as caught:
        distribution_named("fedora")
    assert "debian, ubuntu" in caught.value.hint
    with pytest.raises(RequestError, match="Ubuntu has no suite 'trixie'") as caught:
        check_name("trixie", UBUNTU)
    assert "jammy" in caught.value.hint


def test_a_series_that_ubuntu_cannot_have_is_not_looked_for_there() -> None:
    assert [UBUNTU.may_have(series) for series in ("5.15", "6.8", "6.12", "9.99")] == [True, True, False, False]
    assert DEBIAN.may_have("9.99")
