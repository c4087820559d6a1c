from __future__ import annotations

from pathlib import Path

import pytest

from lab.archives import keyrings
from lab.archives.suites import UBUNTU
from lab.errors import ArchiveError
from tests.support.fixtures import Bench
from tests.support.server import Fault

PLACE = str(UBUNTU.keyring.relative_to("/"))


def fetch(bench: Bench) -> Path:
    settings = bench.settings()
    return keyrings.fetch(UBUNTU, bench.sources(settings).suite("trixie"), settings)


def test_a_keyring_comes_out_of_its_newest_package_and_is_fetched_once(bench: Bench) -> None:
    bench.archive.add("trixie", "ubuntu-keyring", "2023.11.28", {PLACE: "old"}, arch="all")
    bench.archive.add("trixie", "ubuntu-keyring", "2025.1.1", {PLACE: "new"}, arch="all")
    bench.archive.add("trixie", "ubuntu-keyring-of-another", "9", {PLACE: "other"}, arch="all")
    bench.archive.publish("trixie")
    path = fetch(bench)
    assert path.read_text() == "new"
    assert path == fetch(bench)
    assert bench.packages_asked() == ["ubuntu-keyring_2025.1.1_all.deb"]
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_package_that_is_not_the_listed_one_gives_no_keyring(bench: Bench) -> None:
    bench.archive.add("trixie", "ubuntu-keyring", "1", {PLACE: "keys"}, arch="all")
    bench.archive.publish("trixie")
    bench.served.spoil("*.deb", Fault.WRONG)
    with pytest.raises(ArchiveError, match="was refused"):
        fetch(bench)


@pytest.mark.parametrize(
    ("name", "words"), [("ubuntu-keyrings", "has no ubuntu-keyring"), ("ubuntu-keyring", "holds no")]
)
def test_without_the_package_or_its_file_the_hint_names_the_setting(bench: Bench, name: str, words: str) -> None:
    bench.archive.add("trixie", name, "1", {"usr/share/other": "keys"}, arch="all")
    bench.archive.publish("trixie")
    with pytest.raises(ArchiveError, match=words) as caught:
        fetch(bench)
    assert "LAB_UBUNTU_KEYRING" in caught.value.hint
