"""Splats in consoles that were recorded from real guests (Debian 6.12, amd64 and arm64; driver `misbehaves`)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lab.evidence.printk import merged, parse_console, parse_kmsg
from lab.evidence.splats import find_splats
from tests.support.misbehaving import DEEDS

CONSOLES = Path(__file__).with_name("consoles")
KINDS = {deed.word: deed.kind for deed in DEEDS}
CULPRITS = {deed.word: deed.function for deed in DEEDS}
RECORDED = sorted(path.stem for path in CONSOLES.glob("*.console"))


def recorded(name: str) -> bytes:
    return (CONSOLES / f"{name}.console").read_bytes()


def word_of(name: str) -> str:
    return name.split("-", 2)[2]


def test_both_architectures_were_recorded() -> None:
    assert {name.split("-")[1] for name in RECORDED} == {"amd64", "arm64"}
    assert {word_of(name) for name in RECORDED} == set(KINDS)


@pytest.mark.parametrize("name", RECORDED)
def test_the_deed_is_named_and_its_function_blamed(name: str) -> None:
    word = word_of(name)
    splats = [splat for splat in find_splats(parse_console(recorded(name))) if splat.kind == KINDS[word]]
    culprits = [splat.details.culprit for splat in splats if splat.details.culprit]
    assert (CULPRITS[word], "misbehaves") in [(culprit.function, culprit.module) for culprit in culprits]
    told = [splat.details for splat in splats if splat.details.culprit]
    assert {details.comm for details in told} == {"sh"}
    assert all(details.pid in (188, 190) for details in told)
    assert any(frame.function == "param_attr_store" for details in told for frame in details.trace)
    assert all("OE" in details.tainted for details in told if details.tainted)


@pytest.mark.parametrize("name", RECORDED)
def test_a_console_cut_off_anywhere_is_read(name: str) -> None:
    data = recorded(name)
    for end in range(0, len(data), 97):
        for splat in find_splats(parse_console(data[:end])):
            assert splat.summary()


@pytest.mark.parametrize("name", RECORDED)
def test_binary_in_between_hides_no_kind(name: str) -> None:
    noisy = b"\x00\xff\xfe\x07".join(recorded(name).splitlines(keepends=True))
    kinds = [splat.kind for splat in find_splats(parse_console(noisy))]
    assert KINDS[word_of(name)] in kinds


def test_both_logs_of_a_guest_are_one_without_duplicates() -> None:
    kmsg = parse_kmsg((CONSOLES / "6.12-amd64-oops.kmsg").read_bytes())
    console = parse_console(recorded("6.12-amd64-oops"))
    assert len(console) > 50
    assert merged(kmsg, console) == kmsg
    assert len(find_splats(merged(kmsg, console))) == 1


def test_what_came_after_the_log_could_be_read_comes_from_the_console() -> None:
    kmsg = parse_kmsg((CONSOLES / "6.12-amd64-oops.kmsg").read_bytes())
    console = parse_console(recorded("6.12-amd64-oops"))
    begun = next(place for place, record in enumerate(kmsg) if "NULL pointer" in record.text)
    both = merged(kmsg[: begun + 3], console)
    assert [record.text.strip() for record in both] == [record.text.strip() for record in kmsg]
    (found,) = find_splats(both)
    assert found.kind == "oops"


def test_a_line_that_a_program_cut_off_on_the_console_is_no_second_one() -> None:
    kmsg = parse_kmsg((CONSOLES / "6.12-amd64-oops.kmsg").read_bytes())
    console = parse_console(recorded("6.12-amd64-oops"))
    place = next(place for place, record in enumerate(console) if "NULL pointer" in record.text)
    console[place] = dataclasses.replace(console[place], text=console[place].text[:20])
    assert len(merged(kmsg, console)) == len(kmsg)
