"""Whatever is done to a driver: an action is reported, or counted as dropped, or the capture says that it broke off.

Root can end every driver. What must never be is silence that looks like nothing happened.

Source: falco#2915 and Vali-Cyber's "ebpf-attacks" (tail calls deleted, kill_agent, exhaust); CVE-2019-8339 (flooding);
"Evading eBPF" (bpf tampering, DEF CON 2021).
"""

from __future__ import annotations

from typing import Any

import pytest

from lab.drivers.attacked import under_attack
from lab.drivers.capture import Events
from lab.drivers.deploy import Deployment
from lab.drivers.tamper import Tampering
from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, blinded, missing, wrong

VICTIM = "/work/victim"
REMOVED: dict[str, Any] = {"type": {"unlink", "unlinkat"}, "name": VICTIM}
# Of 4 KiB each, and at least twice in what a driver reports of it: the largest buffers have 8 MiB.
OPENS = 1500


@pytest.mark.attack("flood")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED), wrong("silent-drop", word="vanished"))
def test_what_is_done_behind_a_full_buffer_is_reported_or_counted(
    machine: Machine, events: Events, driver: Deployment, actor: Actor
) -> None:
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        readers = [str(number) for number in driver.processes()]
        actor("flood_then_act", str(OPENS), VICTIM, *readers)
    seen.demand(**REMOVED, comm="flood_then_act")


@pytest.mark.attack("kill-consumer")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
def test_what_is_done_behind_a_killed_consumer_is_no_silence(
    machine: Machine, events: Events, driver: Deployment
) -> None:
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        machine.run(["kill", "-9", *(str(number) for number in driver.processes())])
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")


@pytest.mark.attack("stop-consumer")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
@pytest.mark.profile("full")
def test_what_is_done_behind_a_stopped_consumer_is_no_silence(
    machine: Machine, events: Events, driver: Deployment
) -> None:
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        machine.run(["kill", "-STOP", *(str(number) for number in driver.processes())])
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")


@pytest.mark.attack("unload")
@pytest.mark.syscall("delete_module")
@pytest.mark.controls(
    altered("result", type="delete_module"), missing(type="delete_module", comm="attack_calls"), missing(**REMOVED)
)
def test_a_module_that_is_read_stays_and_reports_who_wants_it_gone(
    machine: Machine, events: Events, driver: Deployment, actor: Actor
) -> None:
    module = driver.mode.module
    if not module:
        raise UnsupportedError("it is no kernel module")
    machine.write(VICTIM, b"to be removed")
    with events.capture() as seen:
        did = actor("attack_calls", "delete_module", module)
        machine.run(["rm", VICTIM])
    assert did["result"] < 0, "a module that is being read was unloaded"
    seen.one(type="delete_module", comm="attack_calls", pid=did["pid"], result=did["result"])
    seen.one(**REMOVED, comm="rm", result=0)


@pytest.mark.attack("unload-killed")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
def test_what_is_done_without_the_module_is_no_silence(machine: Machine, events: Events, driver: Deployment) -> None:
    module = driver.mode.module
    if not module:
        raise UnsupportedError("it is no kernel module")
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        machine.run(["kill", "-9", *(str(number) for number in driver.processes())])
        machine.run(
            ["timeout", "60", "sh", "-c", f"until rmmod {module} 2>/dev/null; do sleep 0.05; done"], deadline=60
        )
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")


# By which entries of its table of tail calls a driver reports what only the action does, and not the lab's own marks:
# who attacks with care leaves the watchdog alone. falco: sys_unlinkat_x of 0.23.2's ppm_fillers.h, by a table of its
# own size; tap: what reads argv (legacy.c).
FALCO_UNLINKAT = 83
TAP_ARGV = (0, 2)
TAP_TAILS = 4
RAN: dict[str, Any] = {"type": {"execve", "procexec"}, "comm": "rm"}


@pytest.mark.attack("bpf-tail-calls")
@pytest.mark.syscall("unlink", "unlinkat", "execve")
@pytest.mark.controls(blinded(**REMOVED), blinded(**RAN))
def test_what_is_done_when_tail_calls_were_deleted_is_no_silence(
    machine: Machine, events: Events, tamper: Tampering
) -> None:
    tables = tamper.maps(kind="prog_array")
    if not tables:
        raise UnsupportedError("its programs make no tail calls")
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        for table in tables:
            tamper.delete(table, TAP_ARGV if table.max_entries == TAP_TAILS else (FALCO_UNLINKAT,))
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")
    seen.demand(**RAN)


@pytest.mark.attack("bpf-all-tail-calls")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
@pytest.mark.profile("full")
def test_what_is_done_when_all_tail_calls_were_deleted_is_no_silence(
    machine: Machine, events: Events, tamper: Tampering
) -> None:
    tables = tamper.maps(kind="prog_array")
    if not tables:
        raise UnsupportedError("its programs make no tail calls")
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        for table in tables:
            tamper.delete(table, range(table.max_entries))
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")


# Of a driver that has a map of the calls it is interested in: one entry for each. 87 and 263 are amd64's unlink and
# unlinkat, 35 that of the others.
INTERESTING = 512
UNLINKS = (35, 87, 263)


@pytest.mark.attack("bpf-interesting-calls")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
def test_what_is_done_when_its_map_of_calls_was_overwritten_is_no_silence(
    machine: Machine, events: Events, tamper: Tampering
) -> None:
    tables = [table for table in tamper.maps(kind="array") if table.max_entries == INTERESTING and not table.frozen]
    if not tables:
        raise UnsupportedError("no map of its programs says which calls it looks at")
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        for table in tables:
            tamper.zero(table, UNLINKS)
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")


# A slot of tap's has 40 KiB: what is larger than this is no table.
LARGEST, MOST = 16384, 4096


@pytest.mark.attack("bpf-maps")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
@pytest.mark.profile("full")
def test_what_is_done_when_all_its_maps_were_overwritten_is_no_silence(
    machine: Machine, events: Events, tamper: Tampering
) -> None:
    tables = [
        table
        for table in tamper.maps(kind="array")
        if not table.frozen and table.value_size <= LARGEST and table.max_entries <= MOST
    ]
    if not tables:
        raise UnsupportedError("it has no maps that can be overwritten")
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        for table in tables:
            tamper.zero(table, range(table.max_entries))
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")


@pytest.mark.attack("bpf-detach")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
def test_what_is_done_when_its_programs_were_detached_is_no_silence(
    machine: Machine, events: Events, tamper: Tampering
) -> None:
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        tamper.detach_links()
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")


SWITCHES = """
echo 0 >/sys/kernel/debug/kprobes/enabled
echo 0 >/sys/kernel/tracing/tracing_on
echo 0 >/sys/kernel/tracing/events/enable
echo >/sys/kernel/tracing/kprobe_events
echo 0 >/proc/sys/kernel/ftrace_enabled
"""


@pytest.mark.attack("tracing-off")
@pytest.mark.syscall("unlink", "unlinkat")
@pytest.mark.controls(blinded(**REMOVED))
def test_what_is_done_when_the_kernels_tracing_was_switched_off_is_no_silence(machine: Machine, events: Events) -> None:
    machine.write(VICTIM, b"to be removed")
    with under_attack(events) as seen:
        # Some of them are refused, as long as somebody traces.
        machine.run(["sh", "-c", SWITCHES], check=False)
        machine.run(["rm", VICTIM])
    seen.demand(**REMOVED, comm="rm")
