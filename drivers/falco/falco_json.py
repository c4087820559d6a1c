"""Reads Falco's own JSON output, of the one rule in driver.toml: what is asked for stands in `output_fields`.

Made from Falco's documentation of its output, and tried on no Falco yet: none can be had from Debian.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, cast

from lab.drivers.event import Counters, Event

_DETECTED = re.compile(rb"^Events detected: (\d{1,20})$", re.MULTILINE)
_DROPPED = re.compile(rb"^ *- event drop detected: (\d{1,20}) occurrences$", re.MULTILINE)


class FalcoAdapter:
    """Takes the fields of the rule's outputs, which are sysdig's, but for the arguments: those are text here."""

    def __init__(self) -> None:
        self._fields = _sysdig()

    def event(self, line: bytes) -> Event | None:
        """The event in one alert; None for alerts of Falco's own (drops, its start)."""
        alert: Any = json.loads(line.decode("utf-8", "surrogateescape"))
        if not isinstance(alert, dict):
            raise ValueError("it is no JSON object")
        fields = alert.get("output_fields")
        if alert.get("rule") != "lab" or not isinstance(fields, dict):
            return None
        arguments = fields.pop("evt.arg.args", None)
        # Falco gives results of calls as text.
        if isinstance(fields.get("evt.rawres"), str):
            fields["evt.rawres"] = int(fields["evt.rawres"])
        event = cast(Event | None, self._fields.event(json.dumps(fields).encode()))
        if event is not None and arguments is not None:
            words = str(arguments).encode("utf-8", "surrogateescape").split(b" ")
            return Event(**{**vars(event), "params": {**event.params, "args": tuple(words)}})
        return event

    def counters(self, said: bytes) -> Counters | None:
        """What Falco prints at its end; it counts occasions of drops, not what was dropped."""
        detected, dropped = _DETECTED.search(said), _DROPPED.search(said)
        if detected is None or dropped is None:
            return None
        return Counters(int(detected[1]), int(dropped[1]))


def _sysdig() -> Any:
    """The adapter beside this file. Adapters are loaded by their path, so this one is too."""
    spec = importlib.util.spec_from_file_location("lab_adapter_sysdig", Path(__file__).with_name("adapter.py"))
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - the file is there
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SysdigAdapter()
