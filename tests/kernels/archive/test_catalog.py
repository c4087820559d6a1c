from __future__ import annotations

import pytest

from lab.arches import AMD64
from lab.archives.stanzas import Package
from lab.errors import RequestError
from lab.kernels.archive.catalog import candidates, choose, flavours_of, newest
from lab.kernels.archive.debian import entries
from lab.kernels.kernel import HeaderPackages
from lab.kernels.request import parse


def package(name: str, version: str, suite: str = "trixie", depends: str = "") -> Package:
    return Package(name, version, "amd64", "0" * 64, 1, f"pool/{name}.deb", depends, suite)


@pytest.mark.parametrize(
    ("name", "version", "series", "patch", "flavour"),
    [
        ("linux-image-6.12.117+deb13-cloud-amd64", "6.12.117-1", "6.12", 117, "cloud"),
        ("linux-image-5.10.0-46-amd64", "5.10.262-1", "5.10", 262, "full"),
        ("linux-image-6.1.0-0.deb11.52-cloud-amd64", "6.1.170-1~deb11u1", "6.1", 170, "cloud"),
        ("linux-image-7.3-rt-amd64", "7.3~rc7-1~exp1", "7.3", 0, "rt"),
    ],
)
def test_names_of_all_ages_are_understood(name: str, version: str, series: str, patch: int, flavour: str) -> None:
    (entry,) = entries([package(name, version)], AMD64)
    assert (entry.series, entry.patch, entry.flavour) == (series, patch, flavour)
    assert entry.release == name.removeprefix("linux-image-")


@pytest.mark.parametrize(
    "name",
    [
        "linux-image-amd64",
        "linux-image-cloud-amd64",
        "linux-image-6.12.107+deb13-amd64-dbg",
        "linux-image-6.12.107+deb13-amd64-unsigned",
        "linux-image-6.12.107+deb13-arm64",
        "linux-image-amd64-signed-template",
        "linux-headers-6.12.107+deb13-amd64",
    ],
)
def test_what_is_no_signed_kernel_is_left_out(name: str) -> None:
    assert entries([package(name, "6.12.107-1")], AMD64) == []


def test_a_metapackage_with_a_number_is_left_out() -> None:
    meta = package("linux-image-6.1-cloud-amd64", "6.1.170-1", depends="linux-image-6.1.0-52-cloud-amd64 (= 6.1.170-1)")
    assert entries([meta], AMD64) == []


def test_versions_are_compared_as_dpkg_does_and_a_tie_goes_to_the_native_suite() -> None:
    name = "linux-image-6.12.%d+deb13-cloud-amd64"
    offered = entries(
        [
            package(name % 9, "6.12.9-1", "trixie-security"),
            package(name % 107, "6.12.107-1~bpo12+1", "bookworm-backports"),
            package(name % 107, "6.12.107-1", "trixie-security"),
            package(name % 107, "6.12.107-1", "trixie"),
        ],
        AMD64,
    )
    assert choose(parse("6.12"), offered).suite == "trixie"
    assert choose(parse("6.12.9"), offered).suite == "trixie-security"


def test_what_may_take_a_kernels_place_is_older_or_from_another_suite_and_of_its_flavour() -> None:
    name = "linux-image-6.12.%d+deb13-%s"
    offered = entries(
        [
            package(name % (9, "cloud-amd64"), "6.12.9-1", "trixie"),
            package(name % (107, "cloud-amd64"), "6.12.107-1", "trixie-security"),
            package(name % (107, "cloud-amd64"), "6.12.107-1", "trixie"),
            package(name % (107, "amd64"), "6.12.107-1", "trixie"),
        ],
        AMD64,
    )
    places = [(entry.patch, entry.suite) for entry in candidates(parse("6.12"), offered, "Debian")]
    assert places == [(107, "trixie"), (107, "trixie-security"), (9, "trixie")]
    assert len(candidates(parse("6.12.107"), offered, "Debian")) == 2
    assert len(candidates(parse("6.12.107+deb13-cloud-amd64"), offered, "Debian")) == 2
    assert flavours_of("6.12", offered) == ["cloud", "full"]


def test_a_special_flavour_is_taken_only_when_asked_for() -> None:
    offered = entries([package("linux-image-6.12.9-rt-amd64", "6.12.9-1")], AMD64)
    assert choose(parse("6.12-rt"), offered).flavour == "rt"
    with pytest.raises(RequestError) as caught:
        choose(parse("6.12"), offered)
    assert "rt" in caught.value.hint
    assert newest(offered) == []


def test_headers_count_only_in_the_very_version_and_where_apt_would_find_them() -> None:
    needs = "linux-headers-6.12.9-common (= 6.12.9-2), linux-kbuild-6.12.9, gcc-14-for-host"
    image = package("linux-image-6.12.9-amd64", "6.12.9-2", "trixie-security")
    other = package("linux-headers-6.12.9-amd64", "6.12.9-1", "trixie-security", needs)
    far = package("linux-headers-6.12.9-amd64", "6.12.9-2", "sid", needs)
    near = package("linux-headers-6.12.9-amd64", "6.12.9-2", "trixie", needs)
    common = package("linux-headers-6.12.9-common", "6.12.9-2", "trixie")
    nothing = entries([image, other, far], AMD64)[0]
    assert nothing.headers is None
    assert "no longer has linux-headers-6.12.9-amd64 6.12.9-2" in nothing.no_headers
    half = entries([image, other, far, near], AMD64)[0]
    assert half.headers is None, "without what it needs it is of no use"
    assert "no longer has linux-headers-6.12.9-common 6.12.9-2" in half.no_headers
    headers = entries([image, other, far, near, common], AMD64)[0].headers
    assert headers == HeaderPackages(
        (near, common), ("linux-kbuild-6.12.9", ""), "trixie", "gcc-14", "linux-headers-6.12.9-amd64"
    )


@pytest.mark.parametrize(
    ("depends", "kbuild", "compiler"),
    [
        ("linux-headers-5.10.0-46-common (= 5.10.262-1), linux-kbuild-5.10 (>= 5.10.262-1), linux-compiler-gcc-10-x86",
         "linux-kbuild-5.10", "gcc-10"),
        ("linux-headers-5.10.0-46-common (= 5.10.262-1), linux-kbuild-5.10 (>= 5.10.262-1), gcc-10",
         "linux-kbuild-5.10", "gcc-10"),
    ],
)  # fmt: skip
def test_the_headers_name_their_compiler_and_kbuild(depends: str, kbuild: str, compiler: str) -> None:
    image = package("linux-image-5.10.0-46-amd64", "5.10.262-1", "bullseye")
    headers = package("linux-headers-5.10.0-46-amd64", "5.10.262-1", "bullseye", depends)
    common = package("linux-headers-5.10.0-46-common", "5.10.262-1", "bullseye")
    found = entries([image, headers, common], AMD64)[0].headers
    assert found is not None
    assert (found.kbuild, found.compiler) == ((kbuild, ""), compiler)
