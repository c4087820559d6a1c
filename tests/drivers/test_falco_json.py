"""Falco's own JSON output, of the rule in drivers/falco/driver.toml, becomes events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.drivers.event import Counters
from lab.drivers.manifest import Adapter, Given, find_driver
from tests.support.falco import EXECVE, OPENAT


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """The one of what the manifest takes for a Falco."""
    program = tmp_path / "falco"
    program.write_bytes(b"\x7fELF\0tp_btf/sys_exit\0falco_rules.yaml\0")
    return find_driver("falco:modern-bpf", Given(artifacts={"falco:modern-bpf": program})).adapter()


def alert(fields: dict[str, Any], rule: str = "lab") -> bytes:
    return json.dumps({"hostname": "lab", "priority": "Notice", "rule": rule, "output_fields": fields}).encode()


def test_an_alert_of_the_labs_rule_is_an_event(adapter: Adapter) -> None:
    event = adapter.event(alert({**OPENAT, "evt.rawres": "6"}))
    assert event is not None
    assert (event.type, event.result, event["name"]) == ("openat", 6, b"/proc/loadavg")


def test_arguments_are_text(adapter: Adapter) -> None:
    event = adapter.event(alert({**EXECVE, "evt.arg.args": "one two"}))
    assert event is not None
    assert event["args"] == (b"one", b"two")


def test_what_falco_says_of_itself_is_no_event(adapter: Adapter) -> None:
    assert adapter.event(alert({"n_drops": 3}, "Falco internal: syscall event drop")) is None


@pytest.mark.parametrize("line", [b"", b"[]", b"Falco initialized", alert({"thread.tid": 1})])
def test_what_cannot_be_read_is_refused(adapter: Adapter, line: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        adapter.event(line)


def test_counters_are_what_falco_prints_at_its_end(adapter: Adapter) -> None:
    said = b"Events detected: 12\nSyscall event drop monitoring:\n   - event drop detected: 2 occurrences\n"
    assert adapter.counters(said) == Counters(12, 2)
    assert adapter.counters(b"Events detected: 12\n") is None
