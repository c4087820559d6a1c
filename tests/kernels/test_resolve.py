from __future__ import annotations

from datetime import timedelta

import pytest

from lab.arches import AMD64
from lab.errors import ArchiveError, RequestError
from lab.kernels.kernel import HeaderPackages
from tests.support.archive import Archive, signing_key
from tests.support.fixtures import SUITES, Bench

CLOUD = "6.12.117+deb13-cloud-amd64"


def fill(archive: Archive) -> None:
    archive.add_kernel("trixie", "6.12.107+deb13-cloud-amd64", "6.12.107-1")
    archive.add_kernel("trixie-security", CLOUD, "6.12.117-1")
    archive.add_kernel("trixie-security", "6.12.117+deb13-amd64", "6.12.117-1")
    archive.add_kernel("trixie", "6.16.3-amd64", "6.16.3-1", headers=False)
    archive.publish(*SUITES)


def test_a_series_means_its_newest_kernel_and_comes_with_its_provenance(bench: Bench) -> None:
    fill(bench.archive)
    source = bench.kernels()
    entry = source.resolve("6.12", AMD64)
    assert not source.stored(entry)
    kernel = source.fetch(entry)
    assert (kernel.release, kernel.version, kernel.origin) == (CLOUD, "6.12.117-1", "debian:trixie-security")
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
    assert kernel.provenance["sha256"] == entry.packages[0].sha256
    assert [kernel.option(name) for name in ("BPF", "OVERLAY_FS", "KGDB", "HZ")] == ["y", "m", None, "250"]
    assert source.stored(entry)
    assert bench.notices == []


@pytest.mark.parametrize(
    ("request_", "release"),
    [
        ("6.12.107", "6.12.107+deb13-cloud-amd64"),
        ("6.12-full", "6.12.117+deb13-amd64"),
        ("debian:trixie/6.12", "6.12.107+deb13-cloud-amd64"),
        ("6.16", "6.16.3-amd64"),
    ],
)
def test_a_request_chooses(bench: Bench, request_: str, release: str) -> None:
    fill(bench.archive)
    assert bench.kernels().resolve(request_, AMD64).release == release


def test_an_unknown_kernel_lists_what_exists(bench: Bench) -> None:
    fill(bench.archive)
    with pytest.raises(RequestError) as caught:
        bench.kernels().resolve("5.15", AMD64)
    assert "6.16, 6.12" in caught.value.hint
    with pytest.raises(RequestError) as caught:
        bench.kernels().resolve("6.12.1", AMD64)
    assert "107, 117" in caught.value.hint


def test_kernels_split_over_packages_are_put_together(bench: Bench) -> None:
    release, version = "7.3-cloud-amd64", "7.3.4-1"
    parts = [f"linux-{part}-{release}" for part in ("base", "binary", "modules")]
    where = f"usr/lib/modules/{release}"
    for part, name in zip(parts, ("config", "vmlinuz", "modules.order"), strict=True):
        bench.archive.add("trixie", part, version, {f"{where}/{name}": name})
    depends = ", ".join(f"{part} (= {version})" for part in parts)
    bench.archive.add("trixie", f"linux-image-{release}", version, {}, depends)
    lost = "linux-base-7.2.1-cloud-amd64 (= 7.2.1-1)"
    bench.archive.add("trixie", "linux-image-7.2.1-cloud-amd64", "7.2.1-1", {}, lost)
    bench.archive.publish(*SUITES)
    source = bench.kernels()
    kernel = source.fetch(source.resolve("7.3", AMD64))
    assert kernel.config is not None
    assert (kernel.image.name, kernel.config.name) == ("vmlinuz", "config")
    with pytest.raises(RequestError, match=r"without the linux-base-7\.2\.1-cloud-amd64"):
        source.resolve("7.2", AMD64)


def test_a_silent_archive_and_an_empty_store_is_one_clear_error(bench: Bench) -> None:
    with pytest.raises(ArchiveError) as caught:
        bench.kernels(bench.settings(url="http://127.0.0.1:9")).resolve("6.12", AMD64)
    assert "cannot be reached" in caught.value.what
    assert caught.value.hint


def test_a_silent_archive_and_a_filled_store_works_with_a_notice(bench: Bench) -> None:
    fill(bench.archive)
    with bench.archive.serve() as url:
        source = bench.kernels(bench.settings(url=url))
        source.fetch(source.resolve("6.12", AMD64))
    assert bench.notices == []
    kernel = source.fetch(source.resolve("6.12", AMD64))
    assert kernel.release == CLOUD
    assert len(bench.notices) == len(SUITES)
    assert all("cannot be reached" in notice for notice in bench.notices)


def test_one_silent_suite_is_a_notice(bench: Bench) -> None:
    bench.archive.add_kernel("trixie", "6.12.107+deb13-cloud-amd64", "6.12.107-1")
    bench.archive.publish("trixie")
    assert bench.kernels().resolve("6.12", AMD64).patch == 107
    assert [notice.split(" at ")[0] for notice in bench.notices] == ["the archive of trixie-security"]


def test_a_wrong_signature_is_refused_with_old_lists_or_without(bench: Bench) -> None:
    fill(bench.archive)
    with signing_key() as other:
        bench.archive.publish("trixie-security", key=other)
        with pytest.raises(ArchiveError, match="trixie-security was refused"):
            bench.kernels().resolve("6.12", AMD64)
        bench.archive.publish(*SUITES)
        bench.kernels().resolve("6.12", AMD64)
        bench.archive.publish("trixie-security", key=other)
        with pytest.raises(ArchiveError, match="trixie-security was refused"):
            bench.kernels().resolve("6.12", AMD64)


def test_a_suite_that_lost_its_signature_is_refused(bench: Bench) -> None:
    fill(bench.archive)
    bench.kernels().resolve("6.12", AMD64)
    signed = bench.archive.root / "dists" / "trixie" / "InRelease"
    text = signed.read_text().split("\n\n", 1)[1].split("-----BEGIN PGP SIGNATURE")[0]
    signed.unlink()
    signed.with_name("Release").write_text(text.replace("Suite: trixie", "Suite: trixie\nLabel: changed"))
    with pytest.raises(ArchiveError, match="trixie was refused"):
        bench.kernels().resolve("6.12", AMD64)


def test_a_package_that_is_not_the_listed_one_is_refused(bench: Bench) -> None:
    fill(bench.archive)
    source = bench.kernels()
    entry = source.resolve("6.12", AMD64)
    deb = bench.archive.root / entry.packages[0].filename
    content = bytearray(deb.read_bytes())
    content[-1] ^= 1
    deb.write_bytes(content)
    with pytest.raises(ArchiveError, match="was refused"):
        source.fetch(entry)
    assert not source.stored(entry)


def test_a_damaged_file_in_the_store_is_noticed_and_fetched_again(bench: Bench) -> None:
    fill(bench.archive)
    source = bench.kernels()
    entry = source.resolve("6.12", AMD64)
    source.fetch(entry).image.write_text("damaged")
    assert source.fetch(entry).image.read_text() == f"image of {CLOUD}\n"
    assert any("damaged" in notice for notice in bench.notices)


def test_an_expired_release_needs_the_setting_and_warns_each_time(bench: Bench) -> None:
    fill(bench.archive)
    bench.archive.publish(*SUITES, valid_for=timedelta(days=-3))
    with pytest.raises(ArchiveError) as caught:
        bench.kernels().resolve("6.12", AMD64)
    assert "out of date" in caught.value.what
    assert "LAB_ALLOW_EXPIRED" in caught.value.hint
    for _ in range(2):
        bench.notices.clear()
        source = bench.kernels(bench.settings(allow_expired=True))
        assert source.resolve("6.12", AMD64).release == CLOUD
        assert any("trixie-security" in notice and "Valid-Until" in notice for notice in bench.notices)


def test_a_damaged_cache_of_the_lists_is_read_again(bench: Bench) -> None:
    fill(bench.archive)
    bench.kernels().resolve("6.12", AMD64)
    caches = list(bench.store.root.glob("state/apt/*/packages-*.json"))
    assert len(caches) == len(SUITES)
    for cache in caches:
        cache.write_text("{")
    assert bench.kernels().resolve("6.12", AMD64).release == CLOUD
