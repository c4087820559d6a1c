"""Ubuntu's kernels out of a served archive in its layout: found, verified, unpacked; Debian is never slowed down."""

from __future__ import annotations

import time

import pytest

from lab.arches import AMD64, ARM64
from lab.errors import ArchiveError, RequestError
from lab.kernels.kernel import HeaderPackages
from tests.support.archive import signing_key
from tests.support.fixtures import SUITES, UBUNTU_SUITES, Bench
from tests.support.kernels import CONFIG, Files, add_debian_kernel, add_ubuntu_kernel
from tests.support.server import Fault

RELEASE = "5.15.0-113-generic"
VERSION = "5.15.0-113.123"


def fill(bench: Bench) -> None:
    add_debian_kernel(bench.archive, "trixie", "6.12.107+deb13-cloud-amd64", "6.12.107-1")
    bench.archive.publish(*SUITES)
    for archive in (bench.ubuntu, bench.ports):
        add_ubuntu_kernel(archive, "jammy", "5.15.0-25-generic", "5.15.0-25.25")
        add_ubuntu_kernel(archive, "jammy-updates", RELEASE, VERSION)
        hwe = "linux-hwe-5.15-headers-5.15.0-113"
        add_ubuntu_kernel(archive, "focal-updates", RELEASE, f"{VERSION}~20.04.1", shared=hwe)
        archive.publish(*UBUNTU_SUITES)


def test_a_series_that_debian_lacks_is_found_in_ubuntu_without_being_told(bench: Bench) -> None:
    fill(bench)
    choice = bench.resolve("5.15")
    assert (choice.release, choice.version, choice.origin) == (RELEASE, VERSION, "ubuntu:jammy-updates")
    kernel = choice.fetch()
    assert kernel.image.read_text() == f"image of {RELEASE}\n"
    assert kernel.option("BPF") == "y"
    assert kernel.modules is not None
    assert (kernel.modules / "modules.builtin").is_file()
    assert (kernel.modules / "kernel/drivers/rare.ko").is_file(), "modules-extra lie elsewhere"
    assert (kernel.exact, kernel.origin, kernel.flavour) == ("ubuntu/5.15.113-full", "ubuntu:jammy-updates", "full")
    assert isinstance(kernel.headers, HeaderPackages)
    assert kernel.headers.tree == f"linux-headers-{RELEASE}"
    assert kernel.headers.kbuild == ("", "")
    assert kernel.provenance["signed_by"] == bench.key.fingerprint
    assert kernel.provenance["archive"] == f"{bench.served.url}/ubuntu"
    assert len(kernel.provenance["parts"]) == 3
    assert bench.notices == []
    assert bench.served.count("/ubuntu/*/by-hash/SHA256/*") == len(UBUNTU_SUITES)


@pytest.mark.parametrize(
    ("request_", "version", "suite"),
    [
        ("ubuntu/5.15", VERSION, "jammy-updates"),
        ("ubuntu:jammy/5.15", "5.15.0-25.25", "jammy"),
        ("ubuntu:focal-updates/5.15", f"{VERSION}~20.04.1", "focal-updates"),
        ("5.15.25", "5.15.0-25.25", "jammy"),
        ("ubuntu/5.15.0-25-generic", "5.15.0-25.25", "jammy"),
        ("5.15.0-113-generic", VERSION, "jammy-updates"),
    ],
)
def test_a_request_chooses(bench: Bench, request_: str, version: str, suite: str) -> None:
    fill(bench)
    choice = bench.resolve(request_)
    assert (choice.version, choice.origin) == (version, f"ubuntu:{suite}")


def test_other_architectures_come_from_the_ports(bench: Bench) -> None:
    fill(bench)
    kernel = bench.resolve("ubuntu/5.15", ARM64).fetch()
    assert kernel.arch is ARM64
    assert kernel.provenance["archive"] == f"{bench.served.url}/ubuntu-ports"
    assert bench.served.count("/ubuntu/*") == 0
    assert kernel.headers is None


def test_the_compiler_is_the_one_that_the_kernel_itself_names(bench: Bench) -> None:
    built = Files("an image\n", CONFIG + "CONFIG_GCC_VERSION=120300\n")
    add_ubuntu_kernel(bench.ubuntu, "jammy-updates", "6.8.0-45-generic", "6.8.0-45.45~22.04.1", files=built)
    bench.ubuntu.publish(*UBUNTU_SUITES)
    choice = bench.resolve("ubuntu/6.8")
    assert choice.entry.headers is not None
    assert choice.entry.headers.compiler == "gcc-11"
    headers = choice.fetch().headers
    assert isinstance(headers, HeaderPackages)
    assert headers.compiler == "gcc-12"


def test_for_a_series_of_debians_ubuntu_is_not_asked(bench: Bench) -> None:
    fill(bench)
    assert bench.resolve("6.12").origin == "debian:trixie"
    with pytest.raises(RequestError, match=r"no kernel 6\.12\.1"):
        bench.resolve("6.12.1")
    with pytest.raises(RequestError, match=r"no lowlatency kernel 6\.12"):
        bench.resolve("6.12-lowlatency")
    assert bench.served.count("/ubuntu*") == 0


def test_what_neither_has_is_one_error_that_lists_what_both_have(bench: Bench) -> None:
    fill(bench)
    with pytest.raises(RequestError) as caught:
        bench.resolve("6.8")
    assert caught.value.what == "Debian has no kernel 6.8; and Ubuntu has no kernel 6.8"
    assert "6.12" in caught.value.hint
    assert "5.15" in caught.value.hint


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.BROKEN, None])
def test_an_archive_that_cannot_be_reached_is_one_sentence_soon(bench: Bench, fault: Fault | None) -> None:
    fill(bench)
    settings = bench.settings()
    if fault:
        bench.served.spoil("/ubuntu/*", fault)
    else:
        settings = settings.model_copy(update={"ubuntu_mirror": "http://127.0.0.1:9"})
    began = time.monotonic()
    with pytest.raises(ArchiveError) as caught:
        bench.resolve("5.15", settings=settings)
    assert time.monotonic() - began < 12
    assert "Debian has no kernel 5.15" in caught.value.what
    assert settings.ubuntu_mirror in caught.value.what
    assert "cannot be reached" in caught.value.what
    assert all(word in caught.value.hint for word in ("LAB_UBUNTU_MIRROR", "store", "path:"))


def test_an_archive_that_can_no_longer_be_reached_is_a_notice_when_the_store_is_filled(bench: Bench) -> None:
    fill(bench)
    bench.resolve("5.15").fetch()
    bench.served.spoil("/ubuntu/*", Fault.BROKEN)
    assert bench.resolve("5.15").fetch().release == RELEASE
    assert len(bench.notices) == 1
    assert "going on with the lists of Ubuntu that are there" in bench.notices[0]


def test_a_wrong_signature_is_refused(bench: Bench) -> None:
    fill(bench)
    with signing_key() as other:
        bench.ubuntu.publish("jammy", key=other)
    with pytest.raises(ArchiveError, match="the archive of jammy was refused"):
        bench.resolve("5.15")


def test_a_package_that_is_not_the_listed_one_is_refused(bench: Bench) -> None:
    fill(bench)
    choice = bench.resolve("5.15")
    bench.served.spoil("*/linux-modules-5*.deb", Fault.WRONG)
    with pytest.raises(ArchiveError, match=f"linux-modules-{RELEASE} {VERSION} was refused"):
        choice.fetch()
    assert choice.stored() is None


def test_all_and_ranges_are_the_newest_of_each_series(bench: Bench) -> None:
    fill(bench)
    add_debian_kernel(bench.archive, "trixie-security", "6.16.3-amd64", "6.16.3-1")
    add_debian_kernel(bench.archive, "trixie-security", "6.1.170-rt-amd64", "6.1.170-1")
    bench.archive.publish(*SUITES)
    kernels = bench.kernels()
    assert kernels.expand("all", AMD64) == ["6.16", "6.12"], "all means Debian, and a default flavour"
    assert kernels.expand("debian/all-rt", AMD64) == ["debian/6.1-rt"]
    assert kernels.expand(">=6,<6.16", AMD64) == ["6.12"]
    assert kernels.expand("debian:trixie/all", AMD64) == ["debian:trixie/6.12"]
    assert bench.served.count("/ubuntu*") == 0
    assert kernels.expand("ubuntu/>=5", AMD64) == ["ubuntu/5.15"]
    assert [choice.series for choice in kernels.list(AMD64, "ubuntu")] == ["5.15"] * 3
    with pytest.raises(RequestError, match="'>=7'") as caught:
        kernels.expand(">=7", AMD64)
    assert "6.16, 6.12" in caught.value.hint


def test_a_single_request_is_expanded_without_a_look_into_any_archive(bench: Bench) -> None:
    assert bench.kernels().expand("6.12", AMD64) == ["6.12"]
    assert bench.kernels().expand("path:/a", AMD64) == ["path:/a"]
    assert bench.served.asked == []


def test_nothing_in_a_range_while_a_suite_could_not_be_read_names_that_suite(bench: Bench) -> None:
    fill(bench)
    bench.served.spoil("*/trixie-security/*", Fault.GONE)
    with pytest.raises(ArchiveError, match="trixie-security"):
        bench.kernels().expand(">=7", AMD64)
