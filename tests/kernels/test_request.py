from __future__ import annotations

import pytest

from lab.errors import RequestError
from lab.kernels.request import Request, Selection, means_several, parse, parse_several, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6.12", Request("6.12", "", "", "6.12", None, "", "6.12")),
        ("6.12.107", Request("6.12.107", "", "", "6.12", 107, "", "6.12.107")),
        ("6.12-rt", Request("6.12-rt", "", "", "6.12", None, "rt", "6.12-rt")),
        ("6.12.1-16k", Request("6.12.1-16k", "", "", "6.12", 1, "16k", "6.12.1-16k")),
        (
            "debian:trixie-backports/7.2-full",
            Request("debian-trixie-backports-7.2-full", "debian", "trixie-backports", "7.2", None, "full", "7.2-full"),
        ),
        ("debian/5.10", Request("debian-5.10", "debian", "", "5.10", None, "", "5.10")),
        (
            "ubuntu:jammy-updates/5.15.113-lowlatency",
            Request(
                "ubuntu-jammy-updates-5.15.113-lowlatency",
                "ubuntu",
                "jammy-updates",
                "5.15",
                113,
                "lowlatency",
                "5.15.113-lowlatency",
            ),
        ),
        ("6.8-generic", Request("6.8-generic", "", "", "6.8", None, "full", "6.8-generic")),
        ("ubuntu/5.4-aws-x", Request("ubuntu-5.4-aws-x", "ubuntu", "", "5.4", None, "aws-x", "5.4-aws-x")),
    ],
)  # fmt: skip
def test_requests_are_taken_apart(text: str, expected: Request) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "release",
    ["6.12.107+deb13-cloud-amd64", "5.15.0-113-generic", "5.10.0-46-cloud-amd64", "6.1.0-0.deb11.52-amd64"],
)
def test_a_release_as_uname_says_it_is_a_request(release: str) -> None:
    assert parse(release).release == release
    assert parse(f"ubuntu/{release}").release == release
    assert release.startswith(parse(release).series)


@pytest.mark.parametrize(
    "text",
    [
        "", "6", "v6.12", "6.12.", "6.12-", "6.12.1.2", "6.12 ", " 6.12", "6.12\n", "6.12-Full", "6.12/", "/6.12",
        "fedora/5.15", "debian:nope/6.12", "debian:jammy/6.12", "ubuntu:trixie/6.8", "ubuntu:/6.8", "6.12;x",
        "../6.12", "6.12.107+deb13/../x", "allow", "ALL",
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_how_one_is_written(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["all", "ubuntu/all", "debian:sid/all-rt", ">=6.1", "ubuntu/>=5.15,<6.8", "<7", "!=6.1"]
)
def test_a_request_for_several_is_no_request_for_one(text: str) -> None:
    assert means_several(text)
    with pytest.raises(RequestError, match="several"):
        parse(text)


@pytest.mark.parametrize("text", ["6.12", "ubuntu/5.15", "path:/a<b", "oci:all", "path:all"])
def test_a_request_for_one_is_none_for_several(text: str) -> None:
    assert not means_several(text)


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("6.12,5.10", ["6.12", "5.10"]),
        (" 6.12 , ,5.10,6.12", ["6.12", "5.10"]),
        ("", []),
        (">=6.1,<7", [">=6.1,<7"]),
        (">= 6.1, < 7", [">= 6.1,< 7"]),
        ("5.10,>=6.1,6.12-rt,<7", ["5.10", ">=6.1,<7", "6.12-rt"]),
        ("ubuntu/>=5.15,<6.8", ["ubuntu/>=5.15,<6.8"]),
        (">=7,ubuntu/>=5.15,<6.8", [">=7", "ubuntu/>=5.15,<6.8"]),
        ("ubuntu/>=5.15,ubuntu/<6.8", ["ubuntu/>=5.15,<6.8"]),
        ("ubuntu/ >=5.15,debian:sid/<7,debian:sid/>6", ["ubuntu/>=5.15", "debian:sid/<7,>6"]),
        ("all,5.10", ["all", "5.10"]),
        ("path:/a b,oci:r@sha256:0", ["path:/a b", "oci:r@sha256:0"]),
    ],
)
def test_a_list_is_split_and_its_comparisons_are_one_range(text: str, requests: list[str]) -> None:
    assert split(text) == requests


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", Selection("", "", "")),
        ("ubuntu:jammy/all-lowlatency", Selection("ubuntu", "jammy", "lowlatency")),
        (">=6.1,<7", Selection("", "", "", ((">=", (6, 1)), ("<", (7,))))),
        (">= 6.1,< 7", Selection("", "", "", ((">=", (6, 1)), ("<", (7,))))),
        ("debian:sid/!=7.2", Selection("debian", "sid", "", (("!=", (7, 2)),))),
    ],
)
def test_requests_for_several_are_taken_apart(text: str, expected: Selection) -> None:
    assert parse_several(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        ">=6.1.5",
        ">=",
        "=>6.1",
        "==6.1",
        "<7-rt",
        ">=6.1,6.12",
        "fedora/>=6",
        "debian:nope/all",
        "<v7",
        ">=6.1<7",
        "all-",
    ],
)
def test_a_range_that_cannot_be_read_says_how_one_is_written(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_several(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (">=6.1", "6.1 6.12 7.0"),
        (">6.1", "6.12 7.0"),
        ("<7", "5.10 6.1 6.12"),
        ("<=6", "5.10 6.1 6.12"),
        (">6", "7.0"),
        ("!=6", "5.10 7.0"),
        (">=5.10,<6.2", "5.10 6.1"),
        ("all", "5.10 6.1 6.12 7.0"),
        (">7", ""),
    ],
)
def test_series_are_compared_as_numbers_and_a_bare_number_means_all_its_series(text: str, held: str) -> None:
    series = ("5.10", "6.1", "6.12", "7.0")
    assert [name for name in series if parse_several(text).admits(name)] == held.split()


@pytest.mark.parametrize(
    ("text", "request_"),
    [("all", "6.8"), ("ubuntu/>=5", "ubuntu/6.8"), ("ubuntu:noble/all-lowlatency", "ubuntu:noble/6.8-lowlatency")],
)
def test_each_series_of_several_is_a_request_of_its_own(text: str, request_: str) -> None:
    made = parse_several(text).request("6.8")
    assert made == request_
    assert parse(made).series == "6.8"
