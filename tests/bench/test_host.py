"""What the machine is and what others do on it: read from the kernel's words, and seen on this very machine."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from lab.bench import host
from lab.bench.host import HostLoad, Load, Moment, between, cpu_times, model, moment, speed, virtual, watch, why_busy

STAT = """cpu  1000 20 300 90000 40 5 6 70 11 12
cpu0 500 10 150 45000 20 2 3 35 5 6
cpu1 500 10 150 45000 20 3 3 35 6 6
intr 12345 0 9
ctxt 999
"""
AMD = """processor\t: 0
model name\t: AMD EPYC
cpu MHz\t\t: 2000.000
flags\t\t: fpu hypervisor lahf_lm

processor\t: 1
model name\t: AMD EPYC
cpu MHz\t\t: 3000.000
flags\t\t: fpu hypervisor lahf_lm
"""
ARM = """processor\t: 0
BogoMIPS\t: 50.00
CPU implementer\t: 0x41
"""
IDLE = Load(60.0, 1.0, 0.01, 0.0)
SPINS = [sys.executable, "-c", "while True: pass"]
ENDS = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.4: pass"]


def load(before: Load = IDLE, during: Load = IDLE) -> HostLoad:
    return HostLoad(before, during, (during,), ((0.1, 0.2, 0.3), (1.0, 0.5, 0.4)), (None, None))


def test_guests_time_is_counted_once_and_waiting_is_not_being_busy() -> None:
    assert cpu_times(STAT) == (1000 + 20 + 300 + 5 + 6, 70)


def test_a_kernel_that_tells_less_gave_nothing_to_others() -> None:
    assert cpu_times("cpu  100 20 30 4000 40 5 6\n") == (100 + 20 + 30 + 5 + 6, 0)


def test_what_is_not_ours_is_others() -> None:
    start, end = Moment(100.0, 50.0, 1.0, 7.0), Moment(110.0, 65.0, 1.5, 17.0)
    assert between(start, end) == Load(10.0, 1.0, 0.5, 0.05)


def test_a_tick_that_is_counted_late_makes_others_no_less_than_nothing() -> None:
    assert between(Moment(0.0, 0.0, 0.0, 0.0), Moment(1.0, 0.99, 0.0, 1.0)).others == 0.0


def test_an_idle_machine_is_not_busy() -> None:
    assert why_busy(load(), 2) == ""


@pytest.mark.parametrize(
    ("taken", "sentence"),
    [
        (load(before=replace(IDLE, others=0.2)), "others used 0.20 CPUs before the measuring"),
        (load(during=replace(IDLE, others=0.2)), "others used 0.20 CPUs while it was measured"),
        (load(during=replace(IDLE, stolen=0.2)), "the machine's hypervisor gave 0.20 of its CPUs to others while"),
    ],
)
def test_a_busy_machine_is_told_with_what_and_when(taken: HostLoad, sentence: str) -> None:
    assert why_busy(taken, 2).startswith(sentence)


def test_what_is_much_on_a_small_machine_is_little_on_a_large_one() -> None:
    taken = load(during=replace(IDLE, others=0.2))
    assert why_busy(taken, 2) != ""
    assert why_busy(taken, 64) == ""


def test_a_program_that_spins_makes_this_machine_busy() -> None:
    with subprocess.Popen(SPINS) as spinning:
        taken = watch()
        spinning.kill()
    assert taken.others > 0.3
    assert "before the measuring" in why_busy(load(before=taken), 2)


def test_what_a_child_used_is_ours_when_it_has_ended() -> None:
    start = moment()
    subprocess.run(ENDS, check=True, timeout=60)
    taken = between(start, moment())
    assert taken.own * taken.seconds > 0.3


def test_what_we_use_ourselves_is_ours() -> None:
    start, until = moment(), time.process_time() + 0.4
    while time.process_time() < until:
        pass
    taken = between(start, moment())
    assert taken.own * taken.seconds > 0.3


def test_a_cpu_is_named_and_its_clock_told_where_the_kernel_does() -> None:
    assert (model(AMD), speed(AMD)) == ("AMD EPYC", 2500.0)
    assert (model(ARM), speed(ARM)) == ("", None)


def test_a_virtual_machine_is_told_by_its_cpus_flags() -> None:
    assert virtual(AMD, "KVM Virtual Machine") == "KVM Virtual Machine"
    assert virtual(AMD, "") == "unnamed"
    assert virtual(AMD.replace("hypervisor ", ""), "A Board") == ""
    assert virtual(ARM, "A Board") == ""


def test_this_machine_has_a_name_and_memory() -> None:
    found = host.facts()
    assert found.model
    assert found.system
    assert found.cpus > 0
    assert found.memory_mib > 0
