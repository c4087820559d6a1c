"""Conditions are read back: one that does not hold makes a scenario unsupported, and says what holds instead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.errors import UnsupportedError
from lab.survival.conditions import Conditions
from tests.survival.stubs import saying


def test_what_holds_is_returned() -> None:
    assert Conditions(saying("none voluntary (full)\n")).preemption("full") == "none voluntary (full)"
    assert Conditions(saying("0\n", "0\n")).cpu(1, on=False) == "0"
    assert Conditions(saying("none [integrity] confidentiality\n")).lockdown("integrity")
    assert Conditions(saying("1000000000 999913600\n")).clock_back(86400) == 999913600
    assert Conditions(saying("16 50331648\n")).cgroup("x", pids=16, memory_mib=48) == "/sys/fs/cgroup/x"
    assert Conditions(saying("64 max\n")).cgroup("x", pids=64) == "/sys/fs/cgroup/x"
    Conditions(saying("")).without_tracefs()
    Conditions(saying("100\n100\n")).allow_tasks(100)
    Conditions(saying("checked\n")).checked_memory()


@pytest.mark.parametrize(
    ("said", "what", "ask"),
    [
        ("none (voluntary) full\n", "it has none (voluntary) full", lambda on: on.preemption("full")),
        ("", "no PREEMPT_DYNAMIC", lambda on: on.preemption("full")),
        ("1\n", "CPU 1 cannot be turned off", lambda on: on.cpu(1, on=False)),
        ("[none] integrity\n", "[none] integrity", lambda on: on.lockdown("integrity")),
        ("", "it has no such module", lambda on: on.lockdown("integrity")),
        ("tracefs /sys/kernel/tracing tracefs rw 0 0\n", "tracefs is still there", lambda on: on.without_tracefs()),
        ("1000000000 1000000001\n", "clock", lambda on: on.clock_back(86400)),
        ("", "clock", lambda on: on.clock_back(86400)),
        ("16 max\n", "no cgroup bounds", lambda on: on.cgroup("x", pids=16, memory_mib=48)),
        ("", "there is no cgroup2", lambda on: on.cgroup("x", pids=16)),
        ("6144\n32768\n", "does not allow", lambda on: on.allow_tasks(20000)),
        ("", "KASAN", lambda on: on.checked_memory()),
    ],
)
def test_what_does_not_hold_is_unsupported(said: str, what: str, ask: Callable[[Conditions], object]) -> None:
    with pytest.raises(UnsupportedError) as caught:
        ask(Conditions(saying(said)))
    assert what in caught.value.what
