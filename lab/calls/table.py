"""All calls, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.calls import files, names
from lab.calls.spec import Call

CALLS: Mapping[str, Call] = MappingProxyType({call.name: call for family in (files, names) for call in family.CALLS})
