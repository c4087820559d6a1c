"""The lab's own driver: three modes that report the same, count what they drop, and are wrong when they are told to."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab import arches
from lab.drivers.capture import Capture, Events
from lab.drivers.deploy import Deployment
from lab.drivers.event import Event, Value
from lab.evidence.kernellog import KernelLog
from lab.evidence.splats import find_splats
from lab.images.cpio import CpioFile
from lab.machines.machine import PAYLOAD, Machine
from lab.matrix.cell import Cell
from lab.matrix.provision import Lab

ACTORS = Path(__file__).resolve().parents[1] / "support" / "actors"
MODES = ("kmod", "bpf", "modern-bpf")
LONG = 60.0
# What differs between two runs of the same thing.
_CHANGES = {
    "entered", "task_pid", "task_tid", "envp", "parent_tid", "stack", "arg3", "arg4", "addr", "attr", "cl_args",
    "cl_args_exit",
}  # fmt: skip
# What these return is an address.
_PLACES = {"brk", "mmap", "mremap"}

Deploy = Callable[[str], Deployment]


def start(lab: Lab, driver: str, stack: ExitStack) -> Deployment:
    """A machine with that driver loaded and the actors in it, until the stack is closed."""
    prepared = lab.prepare(Cell(lab.settings.kernel, arches.AMD64, driver))
    actors = {
        f"bin/{source.stem}": CpioFile(lab.program(source, arches.AMD64).read_bytes(), 0o755)
        for source in ACTORS.glob("tap_*.c")
    }
    payload = {**lab.payload(prepared), **actors}
    spec, run_dir = lab.spec(prepared), lab.settings.run_dir
    machine = stack.enter_context(Machine(spec, prepared.qemu, run_dir, payload=payload, purpose="test"))
    machine.start()
    return lab.deploy(machine, prepared)


@pytest.fixture(scope="module")
def deploy(lab: Lab) -> Iterator[Deploy]:
    """Deploys `tap:MODE`, once for all tests of this file."""
    with ExitStack() as stack:
        known: dict[str, Deployment] = {}

        def deployed(driver: str) -> Deployment:
            if driver not in known:
                known[driver] = start(lab, driver, stack)
            return known[driver]

        yield deployed


@pytest.fixture
def wrong(lab: Lab) -> Iterator[Deploy]:
    """Deploys `tap+OPTION:MODE` for one test."""
    with ExitStack() as stack:
        yield lambda driver: start(lab, driver, stack)


def act(deployment: Deployment, name: str, *words: str) -> tuple[dict[str, Any], Capture]:
    """Run an actor in a capture."""
    with Events(deployment).capture() as seen:
        ran = deployment.machine.run([f"{PAYLOAD}/bin/{name}", *words], deadline=LONG)
    return json.loads(ran.text), seen


def said(event: Event, people: dict[int, str]) -> tuple[object, ...]:
    """What an event says, without what differs between two runs; processes by their part in it."""

    def known(value: Value) -> object:
        return people.get(value, value) if isinstance(value, int) else value

    params = tuple(sorted((name, repr(known(value))) for name, value in event.params.items() if name not in _CHANGES))
    result = None if event.type in _PLACES else known(event.result)
    return (event.type, people.get(event.pid), people.get(event.ppid), event.comm, result, params)


def story(deployment: Deployment) -> list[tuple[object, ...]]:
    """What is reported of the actions, process by process, each in order of time."""
    deployment.machine.run(["rm", "-rf", "/work/tap"])
    family, seen = act(deployment, "tap_actions")
    assert seen.counters is not None
    assert seen.counters.drops == 0
    people = {number: name for name, number in family.items()}
    events = sorted((event for event in seen.events if event.pid in people), key=lambda event: event.ts)
    return [said(event, people) for name in family for event in events if people[event.pid] == name]


def test_all_modes_tell_the_same_of_the_same_actions(deploy: Deploy) -> None:
    first, *others = (story(deploy(f"tap:{mode}")) for mode in MODES)
    assert len(first) > 60
    for mode, other in zip(MODES[1:], others, strict=True):
        assert other == first, f"{mode} tells otherwise"


@pytest.mark.parametrize("mode", MODES)
def test_what_happened_is_what_is_told(deploy: Deploy, mode: str) -> None:
    deployment = deploy(f"tap:{mode}")
    deployment.machine.run(["rm", "-rf", "/work/tap"])
    family, seen = act(deployment, "tap_actions")
    mine = {"pid": family["pid"]}
    absent = seen.one(**mine, type="openat", name="/work/tap/none", result=-errno.ENOENT)
    assert (absent["name_exit"], absent["kernel_name"]) == (b"/work/tap/none",) * 2
    seen.one(**mine, type="openat", name=b'/work/tap/\xff"\\\n', flags={"O_WRONLY", "O_CREAT"})
    seen.one(**mine, type="link", oldpath="/work/tap/one", kernel_newpath="/work/tap/two", result=0)
    seen.one(**mine, type="symlink", target="one", linkpath="/work/tap/three", kernel_linkpath="/work/tap/three")
    seen.one(**mine, type="rename", kernel_oldpath="/work/tap/two", kernel_newpath="/work/tap/four", result=0)
    seen.one(**mine, type="unlink", name="/work/tap/four", kernel_name="/work/tap/four", result=0)
    seen.one(**mine, type="connect", address="127.0.0.1", port=9, kernel_port=9, result=0)
    seen.one(**mine, type="sendto", data=b"four", result=4)
    seen.one(**mine, type="vfork", result=family["vforked"])
    seen.one(type="procexit", pid=family["forked"], ppid=family["pid"], status=7 << 8)
    ran = seen.one(type="execve", pid=family["ran"], result=0)
    assert ran["args"] == (b"one two", b"", "é".encode())
    assert (ran["kernel_filename"], ran["parent"]) == (b"/usr/bin/true", b"tap_actions")
    begun = seen.one(type="procexec", pid=family["ran"])
    assert (begun["filename"], begun["args"], begun["euid"]) == (b"/usr/bin/true", ran["args"], 0)
    seen.one(type="execve", pid=family["failed"], kernel_filename="/work/tap/no-program", result=-errno.ENOENT)


@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_is_not_in_memory_at_entry_is_flagged_and_known_all_the_same(deploy: Deploy, mode: str) -> None:
    deployment = deploy(f"tap:{mode}")
    deployment.machine.run(["rm", "-rf", "/work/tap"])
    family, seen = act(deployment, "tap_actions")
    cold = seen.one(pid=family["pid"], type="openat", kernel_name="/work/tap/cold")
    assert cold["not_resident"] == frozenset({"name"})
    assert (cold["name"], cold["name_exit"]) == (b"/work/tap/cold",) * 2


@pytest.mark.parametrize("mode", MODES)
def test_a_32_bit_call_is_known_by_its_own_number(deploy: Deploy, mode: str) -> None:
    made, seen = act(deploy(f"tap:{mode}"), "tap_compat")
    opened = seen.one(type="openat", pid=made["pid"], name="/work/compat", result=-errno.ENOENT)
    assert (opened["abi"], opened["dirfd"], opened["kernel_name"]) == ("i386", -100, b"/work/compat")


@pytest.mark.parametrize("mode", MODES)
def test_events_across_a_rings_end_are_whole(deploy: Deploy, mode: str) -> None:
    deployment = deploy(f"tap:{mode}")
    expected = [b"/work/" + b"./" * 1993 + b"%08d" % number for number in range(60)]
    # Each event holds three names of 4,000 bytes: 60 of them fit into a ring of 1 MiB, and 240 go round it.
    for _ in range(4):
        made, seen = act(deployment, "tap_long_names", "60", "4000")
        assert seen.count(type="openat", pid=made["pid"], result=-errno.ENOENT) == 60
        opens = sorted(seen.all(type="openat", pid=made["pid"], result=-errno.ENOENT), key=lambda event: event.ts)
        for name in ("name", "name_exit", "kernel_name"):
            assert [event[name] for event in opens if event[name] in expected] == expected, name


def counters(deployment: Deployment) -> dict[str, int]:
    """The reader's own line, asked for as the lab asks."""
    assert deployment.counters() is not None
    lines = deployment.machine.run(["cat", f"{PAYLOAD}/consumer.said"]).text.splitlines()
    found: dict[str, int] = json.loads(lines[-1])
    return found


def flood(deployment: Deployment) -> tuple[dict[str, int], dict[str, int]]:
    """What the reader has counted before and after a flood that it slept through."""
    deployment.begin()
    before = counters(deployment)
    machine = deployment.machine
    pid = machine.run(["cat", f"{PAYLOAD}/consumer.pid"]).text.strip()
    machine.run(["kill", "-STOP", pid])
    try:
        machine.run([f"{PAYLOAD}/bin/tap_long_names", "3000", "4000"], deadline=LONG)
    finally:
        machine.run(["kill", "-CONT", pid])
    return before, counters(deployment)


@pytest.mark.parametrize("mode", MODES)
def test_what_a_full_ring_cannot_take_is_counted(deploy: Deploy, mode: str) -> None:
    before, after = flood(deploy(f"tap:{mode}"))
    assert after["dropped"] > before["dropped"]
    for taken in (before, after):
        assert taken["offered"] == taken["delivered"] + taken["dropped"]
        assert (taken["waiting"], taken["missed"], taken["malformed"]) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["kmod", "modern-bpf"])
def test_a_build_that_drops_in_silence_is_found_out_by_what_it_offered(wrong: Deploy, mode: str) -> None:
    before, after = flood(wrong(f"tap+silent-drop:{mode}"))
    assert after["dropped"] == 0
    assert after["offered"] - before["offered"] < 3000, "3,000 calls were made, and fewer events offered"


def test_a_build_with_wrong_results_tells_success_for_failure(wrong: Deploy) -> None:
    family, seen = act(wrong("tap+result:kmod"), "tap_actions")
    seen.one(pid=family["pid"], type="openat", name="/work/tap/none", result=0)


def test_a_build_that_misses_vfork_tells_of_fork_and_not_of_vfork(wrong: Deploy) -> None:
    family, seen = act(wrong("tap+no-vfork:modern-bpf"), "tap_actions")
    seen.none(pid=family["pid"], type="vfork")
    assert seen.count(type={"fork", "clone"}, pid=family["pid"], result=family["forked"]) == 1


def test_a_build_with_a_wrong_length_cuts_the_last_byte_off(wrong: Deploy) -> None:
    family, seen = act(wrong("tap+path-length:bpf"), "tap_actions")
    seen.one(pid=family["pid"], type="openat", name="/work/tap/non", kernel_name="/work/tap/none")


@pytest.mark.parametrize(
    ("option", "path", "splat"),
    [("sleep", "/tap-sleep", "scheduling while atomic"), ("oops", "/tap-oops", "NULL pointer dereference")],
)
def test_a_build_that_breaks_the_kernels_rules_is_told_of_by_the_kernel(
    wrong: Deploy, option: str, path: str, splat: str
) -> None:
    deployment = wrong(f"tap+{option}:kmod")
    deployment.begin()
    printk = KernelLog(deployment.machine)
    assert find_splats(printk.records()) == []
    deployment.machine.run(["cat", path], check=False)
    assert splat in "\n".join(str(found) for found in find_splats(printk.records()))


def test_a_build_that_leaks_leaves_its_memory_behind(deploy: Deploy, wrong: Deploy) -> None:
    kept = {}
    for name, deployment in (("right", deploy("tap:kmod")), ("leak", wrong("tap+leak:kmod"))):
        before = total(deployment)
        deployment.unload()
        kept[name] = total(deployment) - before
        deployment.load()
    assert kept["leak"] - kept["right"] > 7 * 1024, "the slots' 8 MiB"


def total(deployment: Deployment) -> int:
    """KiB that vmalloc has handed out."""
    for line in deployment.machine.run(["cat", "/proc/meminfo"]).text.splitlines():
        if line.startswith("VmallocUsed:"):
            return int(line.split()[1])
    raise AssertionError("/proc/meminfo has no VmallocUsed")
