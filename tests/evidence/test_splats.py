"""Each incident is found once, named by its telling line; what is none is not found."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

import lab.evidence.splats
from lab.errors import RequestError
from lab.evidence.printk import Record, parse_console, parse_kmsg
from lab.evidence.splats import Splat, find_splats, load_allowed, unexpected
from tests.evidence.texts import CUT, END, INCIDENTS, INNOCENT, RULE

ENTRY = '[[allowed]]\npattern = "waiting for lo"\nreason = "a known leak"\nuntil = 2030-06-30\n'


def console(text: str, start: float = 20.0) -> list[Record]:
    """The text as a console shows it, a millisecond between lines."""
    stamped = (f"[{start + number / 1000:12.6f}] {line}\r\n" for number, line in enumerate(text.splitlines()))
    return parse_console("".join(stamped).encode())


def kmsg(text: str) -> list[Record]:
    """The text as /dev/kmsg gives it."""
    lines = (f"4,{number},{20000000 + number},-;{line}\n" for number, line in enumerate(text.splitlines()))
    return parse_kmsg("".join(lines).encode())


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_amid_innocent_text_is_one_splat(name: str) -> None:
    kind, title, text = INCIDENTS[name]
    records = [*console(INNOCENT, 5.0), *console(text), *console(INNOCENT, 40.0)]
    (found,) = find_splats(records)
    assert (found.kind, found.title, found.time) == (kind, title, 20.0)
    assert list(found.lines) == text.splitlines()


@pytest.mark.parametrize("name", INCIDENTS)
def test_kmsg_tells_the_same(name: str) -> None:
    kind, title, text = INCIDENTS[name]
    assert [(splat.kind, splat.title) for splat in find_splats(kmsg(text))] == [(kind, title)]


@pytest.mark.parametrize("first", INCIDENTS)
@pytest.mark.parametrize("second", ["WARN()", "hung task", "net device", "soft lockup", "panic", "atomic"])
def test_the_next_incident_is_not_lost_in_the_first(first: str, second: str) -> None:
    if first == "cut off":
        pytest.skip("what follows names the incident that was cut off")
    found = find_splats(console(INCIDENTS[first][2] + "\n" + INCIDENTS[second][2]))
    assert [splat.kind for splat in found] == [INCIDENTS[first][0], INCIDENTS[second][0]]


@pytest.mark.parametrize("line", INNOCENT.splitlines())
def test_innocent_text_is_no_splat(line: str) -> None:
    assert find_splats(console(line)) == []
    assert find_splats(kmsg(line)) == []


def test_what_a_program_writes_to_kmsg_is_no_splat() -> None:
    assert find_splats(parse_kmsg(b"12,1,10,-;BUG: says a program\n")) == []


def test_a_second_boot_is_unexpected() -> None:
    boot = "[    0.000000] Linux version 6.12.117 (debian) #1 SMP\r\n[    1.000000] up\r\n"
    assert find_splats(parse_console(boot.encode())) == []
    (found,) = find_splats(parse_console((boot + boot).encode()))
    assert (found.kind, found.time) == ("unexpected reboot", 0.0)


def test_a_banner_that_is_read_later_is_no_boot() -> None:
    text = "[    0.000000] Linux version 6.12\r\n[    9.000000] Linux version 6.12\r\n"
    assert find_splats(parse_console(text.encode())) == []


def test_an_incident_without_an_end_stops_at_120_lines() -> None:
    (found,) = find_splats(console("BUG: scheduling while atomic: x/1/2\n" + "more\n" * 200))
    assert len(found.lines) == 120


def test_an_incident_without_an_end_stops_where_the_kernel_fell_silent() -> None:
    records = [*console("BUG: scheduling while atomic: x/1/2\n trace", 5.0), *console("scap: driver loading", 30.0)]
    (found,) = find_splats(records)
    assert found.lines == ("BUG: scheduling while atomic: x/1/2", " trace")


def test_a_warning_that_panics_is_two() -> None:
    text = f"{CUT}\nWARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\nKernel panic - not syncing: panic_on_warn set ...\n{END}"
    assert [splat.kind for splat in find_splats(console(text))] == ["WARNING", "panic"]


def test_two_kasan_reports_are_two() -> None:
    report = INCIDENTS["KASAN"][2]
    assert len(find_splats(console(f"{RULE}\n{report}\n{RULE}\n{report}"))) == 2


def test_lines_without_time_stamps_are_scanned_too() -> None:
    assert [splat.kind for splat in find_splats(parse_console(b"Kernel panic - not syncing: x\n"))] == ["panic"]


def test_a_flood_is_told_by_its_first_500() -> None:
    assert len(find_splats(console("BUG: scheduling while atomic: x/1/2\n" * 5000))) == 500


def splat(title: str) -> Splat:
    return Splat("leaked device", title, (title,), 1.0)


def test_an_allowed_splat_is_expected_until_its_day_has_passed(tmp_path: Path) -> None:
    path = tmp_path / "allowed.toml"
    path.write_text(ENTRY)
    allowed = load_allowed(path)
    lo, eth = splat("unregister_netdevice: waiting for lo"), splat("unregister_netdevice: waiting for eth0")
    assert unexpected([lo, eth], datetime.date(2030, 6, 30), allowed=allowed) == [eth]
    late = unexpected([lo, eth], datetime.date(2030, 7, 1), allowed=allowed)
    assert late == [lo, eth]
    assert [splat.note for splat in late] == ["allowed until 2030-06-30, and no longer: a known leak", ""]
    assert "no longer: a known leak" in late[0].summary()


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "allowed = 3",
        "allowed = [3]",
        ENTRY.replace("waiting for lo", "("),
        ENTRY.replace("waiting for lo", ""),
        ENTRY.replace("a known leak", " "),
        ENTRY.replace("2030-06-30", '"later"'),
        ENTRY.replace("2030-06-30", "2030-06-30T00:00:00Z"),
        "\n".join(ENTRY.splitlines()[:3]),
    ],
)
def test_half_a_list_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "allowed.toml"
    path.write_text(text)
    with pytest.raises(RequestError, match=r"allowed\.toml"):
        load_allowed(path)


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="FileNotFoundError"):
        load_allowed(tmp_path / "absent.toml")


def test_the_labs_own_list_can_be_read() -> None:
    path = Path(lab.evidence.splats.__file__).with_name("allowed.toml")
    for entry in load_allowed(path):
        assert entry.reason
    assert unexpected([splat("x")]) == [splat("x")]
