"""Events answer by name and go into bundles as one line of JSON."""

from __future__ import annotations

import json

import pytest

from lab.drivers.event import FIELDS, Event

EVENT = Event(
    type="openat",
    ts=1,
    cpu=0,
    tid=11,
    pid=10,
    ppid=1,
    comm=b"cat",
    exe=b"/usr/bin/cat",
    result=-2,
    params={"name": b"/x\xff", "flags": frozenset({"B", "A"}), "args": (b"a", b"\xfe"), "absent": None},
)


def test_a_parameter_is_had_by_its_name() -> None:
    assert EVENT["name"] == b"/x\xff"


def test_a_parameter_that_is_not_there_is_answered_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="openat has no parameter 'path'; it has name, flags"):
        EVENT["path"]


def test_fields_and_parameters_are_one_to_those_who_match() -> None:
    assert [EVENT.value(name) for name in ("type", "name", "no-such")] == ["openat", b"/x\xff", None]


def test_parameters_are_no_field() -> None:
    assert "params" not in FIELDS
    assert "result" in FIELDS


def test_json_keeps_text_as_text_and_other_bytes_as_base64() -> None:
    text = EVENT.to_json()
    assert "\n" not in text
    row = json.loads(text)
    assert (row["comm"], row["result"], row["params"]["flags"]) == ("cat", -2, ["A", "B"])
    assert row["params"]["name"] == {"b64": "L3j/"}
    assert row["params"]["args"] == ["a", {"b64": "/g=="}]
