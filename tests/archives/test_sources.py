from __future__ import annotations

from pathlib import Path

import pytest

from lab import arches
from lab.arches import AMD64, ARM64, RISCV64, Arch
from lab.archives import hostapt, keyrings
from lab.archives.sources import TEMPLATES, Sources, template_address
from lab.archives.suites import UBUNTU, Distribution, Suite
from lab.errors import HostError
from lab.settings import Settings

DEBIAN_INFO = """ChangelogURI: none

Suite: {series}
RepositoryType: deb
BaseURI: https://main.example/debian/
Component: main

Suite: {series}-security
BaseURI: https://security.example/
"""
UBUNTU_INFO = """Suite: {series}
RepositoryType: deb
BaseURI: http://ports.example/ubuntu-ports/
BaseURI-amd64: http://archive.example/ubuntu

Suite: {series}
RepositoryType: deb
BaseURI: cdrom:nothing

Suite: {series}-security
BaseURI: http://ports.example/ubuntu-ports/
BaseURI-amd64: http://security.example/ubuntu/

Suite: {series}-updates
ParentSuite: {series}
"""


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.gpg"
    path.touch()
    return path


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    (tmp_path / "Debian.info").write_text(DEBIAN_INFO)
    (tmp_path / "Ubuntu.info").write_text(UBUNTU_INFO)
    return tmp_path


def test_a_setting_goes_before_everything(keyring: Path) -> None:
    settings = Settings(
        mirror="http://a.example/debian/",
        security_mirror="http://b.example/debian",
        ubuntu_mirror="http://c.example/ubuntu/",
        ubuntu_ports_mirror="http://d.example/ports",
        ubuntu_keyring=keyring,
    )
    found = Sources(settings, keyring=keyring)
    assert found.suite("trixie").uri == "http://a.example/debian"
    assert found.suite("trixie-security").uri == "http://b.example/debian"
    assert found.suite("sid").line() == f"deb [signed-by={keyring}] http://a.example/debian sid main"
    for suite in ("jammy", "jammy-updates", "jammy-security"):
        assert found.suite(suite, AMD64).uri == "http://c.example/ubuntu"
        assert found.suite(suite, RISCV64).uri == "http://d.example/ports"


def test_kernels_need_one_component_of_ubuntu_and_compilers_more(keyring: Path) -> None:
    settings = Settings(ubuntu_mirror="http://c.example", mirror="http://a.example", ubuntu_keyring=keyring)
    found = Sources(settings, keyring=keyring)
    assert found.suite("jammy", AMD64).line() == f"deb [signed-by={keyring}] http://c.example jammy main"
    assert {suite.components for suite in found.family("jammy-updates", AMD64)} == {("main", "universe")}
    assert {suite.components for suite in found.family("sid")} == {("main",)}


def test_without_a_keyring_the_hint_names_its_package_or_the_setting(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        Sources(Settings(mirror="http://a.example"), keyring=tmp_path / "none").suite("trixie")
    assert "debian-archive-keyring" in caught.value.hint
    with pytest.raises(HostError) as caught:
        Sources(Settings(ubuntu_mirror="http://a.example", ubuntu_keyring=tmp_path / "none")).suite("jammy")
    assert "LAB_UBUNTU_KEYRING" in caught.value.hint


def test_ubuntus_keyring_is_the_hosts_or_else_out_of_a_package_of_debians(
    keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(distribution: Distribution, suite: Suite, _: Settings) -> Path:
        fetched.append((distribution, suite.name, suite.uri))
        return keyring

    monkeypatch.setattr(keyrings, "fetch", fetch)
    settings = Settings(mirror="http://a.example", ubuntu_mirror="http://c.example")
    on_the_host = keyring.with_name("host.gpg")
    monkeypatch.setattr(Path, "is_file", lambda path: path in (keyring, on_the_host, UBUNTU.keyring))
    assert Sources(settings, keyring=keyring).suite("jammy", AMD64).keyring == UBUNTU.keyring
    assert fetched == []
    monkeypatch.setattr(Path, "is_file", lambda path: path == keyring)
    sources = Sources(settings, keyring=keyring)
    assert {sources.suite(name, AMD64).keyring for name in ("jammy", "noble")} == {keyring}
    assert fetched == [(UBUNTU, "trixie", "http://a.example")]


def test_other_distributions_take_the_template(
    keyring: Path, templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostapt, "distribution", lambda: "fedora")
    settings = Settings(ubuntu_keyring=keyring)
    found = Sources(settings, keyring=keyring, templates=templates)
    assert found.suite("forky").uri == "https://main.example/debian"
    assert found.suite("trixie-security").uri == "https://security.example"
    assert found.suite("jammy-updates", AMD64).uri == "http://archive.example/ubuntu"
    assert found.suite("jammy-security", AMD64).uri == "http://security.example/ubuntu"
    assert found.suite("jammy-security", ARM64).uri == "http://ports.example/ubuntu-ports"
    lacking = Sources(settings, keyring=keyring, templates=tmp_path / "none")
    with pytest.raises(HostError) as caught:
        lacking.suite("forky")
    assert "python-apt-common" in caught.value.hint
    with pytest.raises(HostError) as caught:
        lacking.suite("jammy", ARM64)
    assert "LAB_UBUNTU_PORTS_MIRROR" in caught.value.hint
    assert template_address(DEBIAN_INFO, "{series}-updates") == ""


@pytest.mark.parametrize(
    ("host", "distribution", "asked", "uri"),
    [
        (AMD64, "ubuntu", ("jammy-updates", AMD64), "http://own.example/main"),
        (AMD64, "ubuntu", ("jammy-security", AMD64), "http://own.example/security"),
        (AMD64, "ubuntu", ("jammy", ARM64), "http://ports.example/ubuntu-ports"),
        (ARM64, "ubuntu", ("jammy", ARM64), "http://own.example/main"),
        (ARM64, "ubuntu", ("jammy", RISCV64), "http://own.example/main"),
        (ARM64, "ubuntu", ("jammy", AMD64), "http://archive.example/ubuntu"),
        (AMD64, "ubuntu", ("trixie", AMD64), "https://main.example/debian"),
        (AMD64, "debian", ("trixie", ARM64), "http://own.example/main"),
        (AMD64, "debian", ("jammy", AMD64), "http://archive.example/ubuntu"),
    ],
)
def test_a_host_knows_the_archive_of_its_own_distribution_and_architecture(
    templates: Path,
    keyring: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: Arch,
    distribution: str,
    asked: tuple[str, Arch],
    uri: str,
) -> None:
    own = {"main": "http://own.example/main", "security": "http://own.example/security"}
    monkeypatch.setattr(arches, "host", lambda: host)
    monkeypatch.setattr(hostapt, "distribution", lambda: distribution)
    monkeypatch.setattr(hostapt, "addresses", lambda origin: own if origin.lower() == distribution else {})
    found = Sources(Settings(ubuntu_keyring=keyring), keyring=keyring, templates=templates)
    assert found.suite(*asked).uri == uri


def test_the_real_templates_tell_ubuntus_archive_from_its_ports() -> None:
    text = (TEMPLATES / "Ubuntu.info").read_text()
    archive, ports = (template_address(text, "{series}", arch) for arch in ("amd64", "arm64"))
    assert archive.startswith("http")
    assert ports.startswith("http")
    assert archive != ports
    assert template_address(text, "{series}-security", "arm64") == ports
    assert template_address(text, "{series}-security", "amd64") not in ("", ports)
