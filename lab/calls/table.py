"""All calls, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.calls import files, kernel, names, network, processes
from lab.calls.spec import Call

FAMILIES = (files, names, network, processes, kernel)
CALLS: Mapping[str, Call] = MappingProxyType({call.name: call for family in FAMILIES for call in family.CALLS})
