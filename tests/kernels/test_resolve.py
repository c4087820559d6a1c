from __future__ import annotations

from datetime import timedelta

import pytest

from lab.arches import AMD64, Arch
from lab.errors import ArchiveError, RequestError
from lab.kernels.kernel import HeaderPackages
from lab.settings import Settings
from lab.store import Store
from tests.support.archive import Archive
from tests.support.fixtures import SUITES, Bench
from tests.support.kernels import add_debian_kernel

CLOUD = "6.12.117+deb13-cloud-amd64"


def fill(archive: Archive) -> None:
    add_debian_kernel(archive, "trixie", "6.12.107+deb13-cloud-amd64", "6.12.107-1")
    add_debian_kernel(archive, "trixie-security", CLOUD, "6.12.117-1")
    add_debian_kernel(archive, "trixie-security", "6.12.117+deb13-amd64", "6.12.117-1")
    add_debian_kernel(archive, "trixie", "6.16.3-amd64", "6.16.3-1", headers=False)
    archive.publish(*SUITES)


def test_a_series_means_its_newest_kernel_and_comes_with_its_provenance(bench: Bench) -> None:
    fill(bench.archive)
    choice = bench.resolve("6.12")
    assert (choice.release, choice.version, choice.origin) == (CLOUD, "6.12.117-1", "debian:trixie-security")
    assert choice.stored() is None
    kernel = choice.fetch()
    assert (kernel.release, kernel.version, kernel.origin) == (choice.release, choice.version, choice.origin)
    assert kernel.exact == "debian/6.12.117-cloud"
    assert kernel.image.read_text() == f"image of {CLOUD}\n"
    assert kernel.modules is not None
    assert kernel.modules.name == CLOUD
    assert isinstance(kernel.headers, HeaderPackages)
    assert [package.name for package in kernel.headers.packages] == [
        f"linux-headers-{CLOUD}",
        "linux-headers-6.12.117-1-common",
    ]
    assert kernel.provenance["signed_by"] == bench.key.fingerprint
    assert kernel.provenance["archive"] == bench.url
    assert kernel.provenance["sha256"] == choice.entry.packages[0].sha256
    assert [kernel.option(name) for name in ("BPF", "OVERLAY_FS", "KGDB", "HZ")] == ["y", "m", None, "250"]
    assert choice.stored() == kernel.provenance
    assert bench.notices == []


@pytest.mark.parametrize(
    ("request_", "release"),
    [
        ("6.12.107", "6.12.107+deb13-cloud-amd64"),
        ("6.12-full", "6.12.117+deb13-amd64"),
        ("debian:trixie/6.12", "6.12.107+deb13-cloud-amd64"),
        ("6.16", "6.16.3-amd64"),
        ("6.12.107+deb13-cloud-amd64", "6.12.107+deb13-cloud-amd64"),
        ("debian/6.12.117+deb13-amd64", "6.12.117+deb13-amd64"),
    ],
)
def test_a_request_chooses(bench: Bench, request_: str, release: str) -> None:
    fill(bench.archive)
    assert bench.resolve(request_).release == release


@pytest.mark.parametrize("request_", ["6.12", "debian:trixie/6.12", "6.12.107+deb13-cloud-amd64"])
def test_the_exact_request_means_the_same_kernel_again(bench: Bench, request_: str) -> None:
    fill(bench.archive)
    kernel = bench.resolve(request_).fetch()
    again = bench.resolve(kernel.exact)
    assert (again.release, again.version) == (kernel.release, kernel.version)


def test_an_unknown_kernel_lists_what_exists_and_asks_no_other_distribution(bench: Bench) -> None:
    fill(bench.archive)
    with pytest.raises(RequestError, match=r"Debian has no kernel 9\.99") as caught:
        bench.resolve("9.99")
    assert "6.16, 6.12" in caught.value.hint
    with pytest.raises(RequestError) as caught:
        bench.resolve("6.12.1")
    assert "107, 117" in caught.value.hint
    assert bench.served.count("/ubuntu*") == 0


def test_headers_that_are_gone_are_named(bench: Bench) -> None:
    fill(bench.archive)
    kernel = bench.resolve("6.16").fetch()
    assert kernel.headers is None
    assert "no longer has linux-headers-6.16.3-amd64 6.16.3-1" in kernel.no_headers
    bench.archive.drop("trixie-security", "linux-headers-6.12.117-1-common")
    bench.archive.publish("trixie-security")
    assert "no longer has linux-headers-6.12.117-1-common 6.12.117-1" in bench.resolve("6.12").fetch().no_headers


def test_kernels_split_over_packages_are_put_together(bench: Bench) -> None:
    release, version = "7.3-cloud-amd64", "7.3.4-1"
    parts = [f"linux-{part}-{release}" for part in ("base", "binary", "modules")]
    where = f"usr/lib/modules/{release}"
    for part, name in zip(parts, ("config", "vmlinuz", "modules.order"), strict=True):
        bench.archive.add("trixie", part, version, {f"{where}/{name}": name})
    depends = ", ".join(f"{part} (= {version})" for part in parts)
    bench.archive.add("trixie", f"linux-image-{release}", version, {}, depends)
    lost = "linux-base-7.2.1-cloud-amd64 (= 7.2.1-1), linux-binary-7.2.1-cloud-amd64 (= 7.2.1-1)"
    bench.archive.add("trixie", "linux-image-7.2.1-cloud-amd64", "7.2.1-1", {}, lost)
    bench.archive.publish(*SUITES)
    kernel = bench.resolve("7.3").fetch()
    assert kernel.config is not None
    assert (kernel.image.name, kernel.config.name) == ("vmlinuz", "config")
    with pytest.raises(ArchiveError, match=r"without the linux-base-7\.2\.1-cloud-amd64"):
        bench.resolve("7.2")


def test_a_base_package_without_anything_of_the_kernel_is_not_missed(bench: Bench) -> None:
    """As Debian's 6.18 has it, whose linux-base the archive lists no more."""
    add_debian_kernel(
        bench.archive, "trixie", "6.18.9-amd64", "6.18.9-1", depends="kmod, linux-base-6.18.9-amd64 (= 6.18.9-1)"
    )
    bench.archive.publish(*SUITES)
    assert bench.resolve("6.18").fetch().release == "6.18.9-amd64"


def test_a_suite_by_another_of_its_names_is_read_when_it_is_asked_for(bench: Bench) -> None:
    add_debian_kernel(bench.archive, "trixie", "6.12.117-amd64", "6.12.117-1")
    add_debian_kernel(bench.archive, "stable", "6.12.107-amd64", "6.12.107-1")
    bench.archive.publish(*SUITES, "stable")
    assert bench.resolve("6.12").version == "6.12.117-1"
    kernel = bench.resolve("debian:stable/6.12").fetch()
    assert (kernel.version, kernel.origin) == ("6.12.107-1", "debian:stable")


def test_a_damaged_file_in_the_store_is_noticed_and_fetched_again(bench: Bench) -> None:
    fill(bench.archive)
    choice = bench.resolve("6.12")
    choice.fetch().image.write_text("damaged")
    assert choice.fetch().image.read_text() == f"image of {CLOUD}\n"
    assert any("damaged" in notice for notice in bench.notices)


def test_an_expired_release_needs_the_setting_and_warns_each_time(bench: Bench) -> None:
    fill(bench.archive)
    bench.archive.publish(*SUITES, valid_for=timedelta(days=-3))
    with pytest.raises(ArchiveError) as caught:
        bench.resolve("6.12")
    assert "out of date" in caught.value.what
    assert "LAB_ALLOW_EXPIRED" in caught.value.hint
    for _ in range(2):
        bench.notices.clear()
        assert bench.resolve("6.12", settings=bench.settings(allow_expired=True)).release == CLOUD
        assert any("trixie-security" in notice and "Valid-Until" in notice for notice in bench.notices)


def test_a_damaged_cache_of_the_lists_is_read_again(bench: Bench) -> None:
    fill(bench.archive)
    bench.resolve("6.12")
    caches = list(bench.store.root.glob("state/apt/*/packages-*.json"))
    assert len(caches) == len(SUITES)
    for cache in caches:
        cache.write_text("{")
    assert bench.resolve("6.12").release == CLOUD


@pytest.mark.parametrize(("text", "prefix"), [("path:/a/kernel", "path:"), ("oci:an/image", "oci:")])
def test_what_no_archive_has_goes_to_its_own_provider(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, text: str, prefix: str
) -> None:
    asked = []

    class Provider:
        def __init__(self, store: Store, settings: Settings, notice: object) -> None:
            asked.append((store, settings, notice))

        def resolve(self, text: str, arch: Arch) -> tuple[str, Arch]:
            return text, arch

    monkeypatch.setattr("lab.kernels.resolve._PROVIDERS", {prefix: Provider})
    settings = bench.settings()
    found: object = bench.kernels(settings).resolve(text, AMD64)
    assert found == (text, AMD64)
    assert asked[0][:2] == (bench.store, settings)
    assert bench.served.asked == []
