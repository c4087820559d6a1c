"""Profiles: how much of each scenario runs. `smoke` is for CI, `full` is what takes its time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import pytest

NAMES = ("smoke", "default", "full")
_MARK = "profile"
T = TypeVar("T")


@dataclass(frozen=True)
class Profile:
    """The run's profile."""

    name: str

    def pick(self, *, smoke: T, default: T, full: T) -> T:
        """The value for this profile: `profile.pick(smoke=5, default=20, full=100)`."""
        return {"smoke": smoke, "default": default, "full": full}[self.name]

    def admits(self, least: str) -> bool:
        """Whether what runs from that profile on runs in this one: a smoke scenario always does."""
        return NAMES.index(least) <= NAMES.index(self.name)


def split(items: Iterable[pytest.Item], profile: Profile) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Those that run in this profile, and the others. UsageError for a mark that names no profile."""
    runs: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        (runs if profile.admits(_least(item)) else others).append(item)
    return runs, others


def _least(item: pytest.Item) -> str:
    mark = item.get_closest_marker(_MARK)
    if mark is None:
        return "default"
    if len(mark.args) != 1 or mark.args[0] not in NAMES:
        raise pytest.UsageError(f"{item.nodeid}: profile(...) is one of {', '.join(NAMES)}")
    return str(mark.args[0])


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> Profile:
    """How much a scenario shall do: `profile.pick(smoke=5, default=20, full=100)`."""
    return Profile(request.config.getoption("profile"))
