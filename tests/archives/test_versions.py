"""Keys sort versions as python-debian compares them, which does as dpkg does."""

from __future__ import annotations

import pytest
from debian.debian_support import Version
from hypothesis import given
from hypothesis import strategies as st

from lab.archives.versions import sort_key

UPSTREAM = st.from_regex(r"[0-9][0-9a-c.+~]{0,6}", fullmatch=True)
REVISION = st.from_regex(r"(-[0-9a-c.+~]{1,6})?", fullmatch=True)
VERSION = st.builds("{}{}{}".format, st.sampled_from(["", "0:", "1:"]), UPSTREAM, REVISION)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.12.9-1", "6.12.107-1"),
        ("6.12.107-1~bpo12+1", "6.12.107-1"),
        ("7.3~rc7-1~exp1", "7.3.1-1"),
        ("5.15.0-113.123~20.04.1", "5.15.0-113.123"),
        ("6.17.0-42.42", "6.17.0-42.42+1"),
        ("9.0-1", "1:1.0-1"),
        ("0~", "0"),
        ("1-0~", "1"),
    ],
)
def test_kernels_versions_sort_by_age(older: str, newer: str) -> None:
    assert sort_key(older) < sort_key(newer)


@given(VERSION, VERSION)
def test_any_two_versions_sort_as_dpkg_says(one: str, other: str) -> None:
    assert (sort_key(one) < sort_key(other)) == (Version(one) < Version(other))
    assert (sort_key(one) == sort_key(other)) == (Version(one) == Version(other))
