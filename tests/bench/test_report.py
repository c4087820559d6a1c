"""What was measured, as a table and as JSON, with a busy machine told in both."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from lab.bench.host import HostFacts, HostLoad, Load
from lab.bench.report import QUANTITIES, Findings, as_json, show

IDLE = Load(100.0, 1.0, 0.01, 0.0)
KEYS = {one.key for one in QUANTITIES} - {"virtme"}


@pytest.fixture
def found() -> Findings:
    load = HostLoad(IDLE, IDLE, (IDLE, IDLE, IDLE), ((0.1, 0.2, 0.3), (1.0, 0.5, 0.4)), (2500.0, None))
    samples: dict[str, list[float]] = {key: [1.0, 2.0, 3.0] for key in KEYS}
    return Findings(
        cell={"kernel": "6.12", "arch": "amd64", "driver": "falco:kmod"},
        guest={"acceleration": "tcg", "cpus": 2, "memory_mib": 768},
        versions={
            "lab": "0.1.0",
            "cell": "6.12-amd64-falco:kmod",
            "kernel": {"release": "6.12.117+deb13-cloud-amd64"},
            "qemu": {"version": "10.0.13"},
            "virtme-ng": None,
        },
        repeat=3,
        started="2026-11-24T09:00:00+00:00",
        host=HostFacts("A CPU", 2, 4096, "6.1.0", "Debian", "a product"),
        load=load,
        samples={**samples, "fork": [0.4, 0.5, 0.6], "boot": [6.0, 7.0, 9.0], "memory.private": [50.0, 51.0, 53.0]},
        failed=[],
    )


def with_virtme(found: Findings, *failed: str) -> Findings:
    versions = {**found.versions, "virtme-ng": "1.42"}
    return replace(found, samples={**found.samples, "virtme": [10.0, 20.0, 30.0]}, versions=versions, failed=failed)


def busy(found: Findings) -> Findings:
    return replace(found, load=replace(found.load, during=replace(IDLE, others=0.7)))


def parsed(found: Findings) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(as_json(found))
    return content


def printed(found: Findings) -> str:
    out = io.StringIO()
    show(found, Console(file=out))
    return out.getvalue()


def test_the_json_has_its_keys_and_every_sample(found: Findings) -> None:
    content = parsed(found)
    assert list(content) == [
        "schema",
        "busy",
        "why_busy",
        "started",
        "repeat",
        "cell",
        "guest",
        "versions",
        "machine",
        "load",
        "measured",
        "ratios",
        "failed",
    ]
    assert content["schema"] == 1
    assert set(content["measured"]) == KEYS
    assert content["measured"]["boot"] == {
        "what": "cold boot, to the same point",
        "unit": "s",
        "count": 3,
        "median": 7.0,
        "least": 6.0,
        "first": 6.5,
        "third": 8.0,
        "most": 9.0,
        "samples": [6.0, 7.0, 9.0],
    }
    assert content["measured"]["memory.private"]["unit"] == "MiB"
    assert set(content["machine"]) == {"model", "cpus", "memory_mib", "kernel", "system", "virtual"}
    assert set(content["load"]) == {"limit", "before", "during", "rounds", "average", "mhz"}
    assert len(content["load"]["rounds"]) == 3


def test_ratios_are_to_the_fork_and_virtme_ngs_only_where_it_ran(found: Findings) -> None:
    assert parsed(found)["ratios"] == {"boot/fork": {"value": 14.0, "least": 6.5 / 0.55, "most": 8.0 / 0.45}}
    compared = parsed(with_virtme(found))
    assert compared["ratios"]["virtme/fork"]["value"] == 40.0
    assert "virtme" in compared["measured"]


def test_the_table_has_a_line_for_all_that_was_measured_and_nothing_else(found: Findings) -> None:
    said = printed(found)
    assert "6.12-amd64-falco:kmod: kernel 6.12.117+deb13-cloud-amd64, QEMU 10.0.13 (tcg), 2 CPUs, 768 MiB" in said
    assert "A CPU, 2 CPUs, 4096 MiB, virtual (a product); Debian, Linux 6.1.0" in said
    assert all(one.what in said for one in QUANTITIES if one.key != "virtme")
    assert "virtme-ng" not in said
    lines = [line.split() for line in said.splitlines()]
    assert [
        "cold",
        "boot,",
        "to",
        "the",
        "same",
        "point",
        "7.000",
        "6.500",
        "-",
        "8.000",
        "6.000",
        "9.000",
        "s",
    ] in lines
    assert ["cold", "boot", "/", "fork", "14.0", "11.8", "-", "17.8", "times"] in lines
    assert "BUSY" not in said


def test_a_busy_machine_stands_before_and_behind_the_table(found: Findings) -> None:
    said = printed(busy(found)).strip().splitlines()
    warning = "BUSY: others used 0.70 CPUs while it was measured: these figures are worth little"
    assert said.count(warning) == 2
    assert said[-1] == warning


def test_a_busy_machine_stands_in_the_json(found: Findings) -> None:
    assert (parsed(found)["busy"], parsed(found)["why_busy"]) == (False, "")
    content = parsed(busy(found))
    assert content["busy"] is True
    assert content["why_busy"] == "others used 0.70 CPUs while it was measured"


def test_guests_of_virtme_ngs_that_failed_are_told(found: Findings) -> None:
    compared = with_virtme(found, "status 255 after 3.0 s: it said nothing")
    assert "virtme-ng's guest failed 1 time(s) and was run again: status 255 after 3.0 s" in printed(compared)
    assert parsed(compared)["failed"] == ["status 255 after 3.0 s: it said nothing"]
