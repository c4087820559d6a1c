from __future__ import annotations

from pathlib import Path

import pytest

from lab.archives.hostapt import candidates


@pytest.mark.parametrize(
    ("origin", "release", "other"), [("Debian", "bookworm", "trixie"), ("Ubuntu", "jammy", "noble")]
)
def test_the_hosts_archives_are_told_from_third_parties(origin: str, release: str, other: str) -> None:
    rows = [
        f"Vendor|main|{release}|http://vendor.example/apt/",
        f"$(ORIGIN)|main|vendor-{release}|http://vendor.example/other/",
        f"$(ORIGIN)|stable|{release}|http://vendor.example/third/",
        f"$(ORIGIN)|main|{other}|http://unknown.example/",
        f"{origin}|main|{release}-updates|http://a.example/archive/",
        f"{origin}|universe|{release}|http://universe.example/archive/",
        f"{origin}|main|{release}|http://a.example/archive/",
        f"{origin}|main|{release}-security|http://b.example/archive/",
    ]
    found = candidates("\n".join(rows), origin)
    assert found["main"][0] == "http://a.example/archive/"
    assert found["security"] == ["http://b.example/archive/"]
    assert "http://vendor.example/apt/" not in found["main"]


def test_a_list_of_mirrors_gives_its_first(tmp_path: Path) -> None:
    listing = tmp_path / "mirrors"
    listing.write_text("# mine\nhttp://a.example/debian priority:1\nhttp://b.example/debian\n")
    assert candidates(f"Debian|main|trixie|mirror+file:{listing}/", "Debian") == {"main": ["http://a.example/debian"]}
