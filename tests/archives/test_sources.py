from __future__ import annotations

from pathlib import Path

import pytest

from lab.archives import sources
from lab.archives.sources import Sources, family_names, host_addresses, template_address
from lab.errors import HostError
from lab.settings import Settings

TEMPLATE = """ChangelogURI: none

Suite: {series}
RepositoryType: deb
BaseURI: https://main.example/debian/
Component: main

Suite: {series}-security
BaseURI: https://security.example/
"""


def test_a_setting_goes_before_everything(tmp_path: Path) -> None:
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    settings = Settings(mirror="http://a.example/debian/", security_mirror="http://b.example/debian")
    found = Sources(settings, keyring=keyring)
    assert found.suite("trixie").uri == "http://a.example/debian"
    assert found.suite("trixie-security").uri == "http://b.example/debian"
    assert found.suite("sid").line() == f"deb [signed-by={keyring}] http://a.example/debian sid main"


def test_without_a_keyring_the_hint_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        Sources(Settings(mirror="http://a.example"), keyring=tmp_path / "none").suite("trixie")
    assert "debian-archive-keyring" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("trixie", ("trixie",)),
        ("trixie-security", ("trixie-security", "trixie")),
        ("trixie-backports", ("trixie-backports", "trixie", "trixie-security")),
        ("forky", ("forky",)),
        ("experimental", ("experimental", "sid")),
    ],
)
def test_families(name: str, family: tuple[str, ...]) -> None:
    assert family_names(name) == family


def test_the_hosts_archives_are_told_from_third_parties() -> None:
    rows = [
        "Vendor|main|bookworm|http://vendor.example/apt/",
        "$(ORIGIN)|main|vendor-bookworm|http://vendor.example/other/",
        "$(ORIGIN)|stable|bookworm|http://vendor.example/third/",
        "$(ORIGIN)|main|bookworm|http://unknown.example/",
        "Debian|main|bookworm-updates|http://a.example/debian/",
        "Debian|main|bookworm|http://a.example/debian/",
        "Debian|main|bookworm-security|http://b.example/debian/",
    ]
    found = host_addresses("\n".join(rows))
    assert found["main"][0] == "http://a.example/debian/"
    assert found["security"] == ["http://b.example/debian/"]
    assert "http://vendor.example/apt/" not in found["main"]


def test_a_list_of_mirrors_gives_its_first(tmp_path: Path) -> None:
    listing = tmp_path / "mirrors"
    listing.write_text("# mine\nhttp://a.example/debian priority:1\nhttp://b.example/debian\n")
    assert host_addresses(f"Debian|main|trixie|mirror+file:{listing}/") == {"main": ["http://a.example/debian"]}


def test_other_distributions_take_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Debian.info").write_text(TEMPLATE)
    (tmp_path / "keyring.gpg").touch()
    monkeypatch.setattr(sources, "_distribution", lambda: "fedora")
    found = Sources(Settings(), keyring=tmp_path / "keyring.gpg", template=tmp_path / "Debian.info")
    assert found.suite("forky").uri == "https://main.example/debian"
    assert found.suite("trixie-security").uri == "https://security.example"
    lacking = Sources(Settings(), keyring=tmp_path / "keyring.gpg", template=tmp_path / "none")
    with pytest.raises(HostError) as caught:
        lacking.suite("forky")
    assert "python-apt-common" in caught.value.hint
    assert template_address(TEMPLATE, "{series}-updates") == ""
