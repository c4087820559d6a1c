"""Ubuntu's names, as its archive lists them."""

from __future__ import annotations

import pytest

from lab import arches
from lab.arches import AMD64, ARM64, RISCV64, Arch
from lab.archives.stanzas import Package
from lab.kernels.archive.catalog import choose, newest
from lab.kernels.archive.ubuntu import PREFIXES, entries
from lab.kernels.kernel import HeaderPackages
from lab.kernels.request import parse

LIBRARIES = "libc6 (>= 2.34), libelf1 (>= 0.142), libssl3 (>= 3.0.0~~alpha1), zlib1g (>= 1:1.2.3.3)"


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arches, "host", lambda: AMD64)


def package(name: str, version: str, suite: str, depends: str = "", arch: Arch = AMD64) -> Package:
    assert name.startswith(PREFIXES), f"the lab would not read {name}"
    return Package(name, version, arch.name, "0" * 64, 1, f"pool/{name}_{version}.deb", depends, suite)


def kernel(
    release: str, version: str, suite: str = "jammy-updates", *, arch: Arch = AMD64, image: str = "linux-image"
) -> list[Package]:
    """As a rule two packages: the image and its modules."""
    depends = f"kmod, linux-base (>= 4.5ubuntu1~16.04.1), linux-modules-{release}"
    return [
        package(f"{image}-{release}", version, suite, depends, arch),
        package(f"linux-modules-{release}", version, suite, "", arch),
    ]


@pytest.mark.parametrize(
    ("release", "version", "arch", "series", "patch", "flavour"),
    [
        ("5.15.0-113-generic", "5.15.0-113.123", AMD64, "5.15", 113, "full"),
        ("4.15.0-213-lowlatency", "4.15.0-213.224", AMD64, "4.15", 213, "lowlatency"),
        ("6.8.0-45-generic-64k", "6.8.0-45.45", ARM64, "6.8", 45, "64k"),
        ("6.8.0-45-lowlatency-64k", "6.8.0-45.45.1", ARM64, "6.8", 45, "lowlatency-64k"),
        ("5.4.0-1146-aws", "5.4.0-1146.156", AMD64, "5.4", 1146, "aws"),
        ("5.15.0-1064-azure-fde", "5.15.0-1064.73.1", AMD64, "5.15", 1064, "azure-fde"),
        ("5.15.0-1055-generic", "5.15.0-1055.59", RISCV64, "5.15", 1055, "full"),
    ],
)
def test_names_of_all_kinds_are_understood(
    release: str, version: str, arch: Arch, series: str, patch: int, flavour: str
) -> None:
    (entry,) = entries(kernel(release, version, arch=arch), arch)
    assert (entry.release, entry.version) == (release, version)
    assert (entry.series, entry.patch, entry.flavour) == (series, patch, flavour)
    assert (entry.origin, entry.missing) == ("ubuntu:jammy-updates", ())
    assert [part.name for part in entry.packages] == [f"linux-image-{release}", f"linux-modules-{release}"]


@pytest.mark.parametrize(
    "name",
    [
        "linux-image-5.15.0-113-generic-dbgsym",
        "linux-image-6.8.0-45",
        "linux-modules-5.15.0-113-generic",
        "linux-headers-5.15.0-113-generic",
        "linux-hwe-6.8-headers-6.8.0-45",
    ],
)
def test_what_is_no_kernel_is_left_out(name: str) -> None:
    assert entries([package(name, "5.15.0-113.123", "jammy")], AMD64) == []


def test_another_architectures_image_is_left_out() -> None:
    assert entries(kernel("5.15.0-113-generic", "5.15.0-113.123", arch=ARM64), AMD64) == []


def test_the_signed_image_is_taken_and_the_unsigned_one_where_none_is_signed() -> None:
    signed, modules = kernel("5.15.0-113-generic", "5.15.0-113.123")
    unsigned, _ = kernel("5.15.0-113-generic", "5.15.0-113.123", image="linux-image-unsigned")
    assert [entry.packages[0] for entry in entries([signed, unsigned, modules], AMD64)] == [signed]
    assert [entry.packages[0] for entry in entries([unsigned, modules], AMD64)] == [unsigned]


def test_an_image_that_was_signed_anew_has_its_modules() -> None:
    image, _ = kernel("6.17.0-42-generic", "6.17.0-42.42+1", "noble-updates")
    _, modules = kernel("6.17.0-42-generic", "6.17.0-42.42", "noble-updates")
    (entry,) = entries([image, modules], AMD64)
    assert entry.packages == (image, modules)


def test_a_kernel_without_its_modules_cannot_be_had() -> None:
    image, modules = kernel("5.15.0-113-generic", "5.15.0-113.123")
    assert entries([image], AMD64)[0].missing == ("linux-modules-5.15.0-113-generic",)
    extra = package("linux-modules-extra-5.15.0-113-generic", "5.15.0-113.123", "jammy-updates")
    (entry,) = entries([image, modules, extra], AMD64)
    assert (entry.missing, entry.packages) == ((), (image, modules, extra))


@pytest.mark.parametrize(
    ("release", "version", "suite", "shared", "more", "compiler"),
    [
        ("5.15.0-113-generic", "5.15.0-113.123", "jammy-updates", "linux-headers-5.15.0-113", "", "gcc-11"),
        (
            "6.8.0-45-generic",
            "6.8.0-45.45~22.04.1",
            "jammy-updates",
            "linux-hwe-6.8-headers-6.8.0-45",
            ", gcc-12",
            "gcc-12",
        ),
        ("4.15.0-213-generic", "4.15.0-213.224", "bionic-updates", "linux-headers-4.15.0-213", "", "gcc-7"),
        ("5.4.0-216-kvm", "5.4.0-216.236", "focal-security", "linux-kvm-headers-5.4.0-216", "", "gcc-9"),
        ("6.8.0-45-generic", "6.8.0-45.45", "noble", "linux-headers-6.8.0-45", "", "gcc-13"),
    ],
)
def test_the_headers_are_two_packages_and_hold_kbuild(
    release: str, version: str, suite: str, shared: str, more: str, compiler: str
) -> None:
    own = package(f"linux-headers-{release}", version, suite, f"{shared}, {LIBRARIES}{more}")
    common = package(shared, version, suite)
    (entry,) = entries([*kernel(release, version, suite), own, common], AMD64)
    assert entry.headers == HeaderPackages((own, common), ("", ""), suite, compiler, f"linux-headers-{release}")
    (entry,) = entries([*kernel(release, version, suite), own], AMD64)
    assert entry.headers is None
    assert f"no longer has {shared}" in entry.no_headers


def test_another_architectures_headers_are_of_no_use_on_this_host() -> None:
    own = package("linux-headers-5.15.0-113-generic", "5.15.0-113.123", "jammy", "linux-headers-5.15.0-113", ARM64)
    common = package("linux-headers-5.15.0-113", "5.15.0-113.123", "jammy")
    (entry,) = entries([*kernel("5.15.0-113-generic", "5.15.0-113.123", "jammy", arch=ARM64), own, common], ARM64)
    assert entry.headers is None
    assert "programs for arm64" in entry.no_headers


def test_a_series_is_its_highest_build_and_on_a_tie_its_native_release() -> None:
    offered = entries(
        [
            *kernel("5.15.0-112-generic", "5.15.0-112.122", "jammy-updates"),
            *kernel("5.15.0-113-generic", "5.15.0-113.123~20.04.1", "focal-updates"),
            *kernel("5.15.0-113-generic", "5.15.0-113.123", "jammy-security"),
            *kernel("5.15.0-113-generic", "5.15.0-113.123", "jammy-updates"),
            *kernel("5.15.0-1200-aws", "5.15.0-1200.1", "jammy-updates"),
        ],
        AMD64,
    )
    assert choose(parse("5.15"), offered).origin == "ubuntu:jammy-updates"
    assert choose(parse("5.15.112"), offered).version == "5.15.0-112.122"
    assert choose(parse("ubuntu:focal-updates/5.15"), offered).version == "5.15.0-113.123~20.04.1"
    assert choose(parse("5.15-generic"), offered).flavour == "full"
    assert choose(parse("5.15-aws"), offered).patch == 1200
    assert [entry.patch for entry in newest(offered)] == [113]
