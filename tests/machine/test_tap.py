"""The lab's own driver: three modes that report the same, count what they drop, and are wrong when they are told to."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lab.drivers.deploy import Deployment
from lab.drivers.event import Event, Value
from lab.evidence.bpf import Entry
from lab.evidence.bpftool import Bpftool
from lab.evidence.kernellog import KernelLog
from lab.evidence.splats import find_splats
from lab.matrix.provision import Lab
from tests.support import tap
from tests.support.tap_guests import FLOOD, Guests, act, flood

MODES = ("kmod", "bpf", "modern-bpf")
# For make test one of the two that run programs in the kernel is enough: most of their source is shared (probes/bpf).
EACH_MODE = ("kmod", pytest.param("bpf", marks=pytest.mark.slow), "modern-bpf")
# What differs between two runs of the same thing.
_CHANGES = {
    "entered", "task_pid", "task_tid", "envp", "parent_tid", "stack", "arg3", "arg4", "addr", "attr", "cl_args",
    "cl_args_exit",
}  # fmt: skip
# What these return is an address.
_PLACES = {"brk", "mmap", "mremap"}


@pytest.fixture(scope="module")
def guests(lab: Lab) -> Iterator[Guests]:
    """One machine for each mode, for all tests of this file."""
    with ExitStack() as stack:
        yield Guests(lab, stack)


@pytest.fixture
def alone(lab: Lab) -> Iterator[Callable[[str], Deployment]]:
    """A build in a machine of its own, for one test."""
    with ExitStack() as stack:
        yield Guests(lab, stack).alone


def said(event: Event, people: dict[int, str]) -> tuple[object, ...]:
    """What an event says, without what differs between two runs; processes by their part in it."""

    def known(value: Value) -> object:
        return people.get(value, value) if isinstance(value, int) else value

    # A mode is no process, though a process may have its number: 0400 is 256.
    params = tuple(
        sorted(
            (name, repr(value if name == "mode" else known(value)))
            for name, value in event.params.items()
            if name not in _CHANGES
        )
    )
    result = None if event.type in _PLACES else known(event.result)
    return (event.type, people.get(event.pid), people.get(event.ppid), event.comm, result, params)


def story(deployment: Deployment) -> list[tuple[object, ...]]:
    """What is reported of the actions, process by process, each in order of time."""
    family, seen = act(deployment, "tap_actions")
    assert seen.counters is not None
    assert seen.counters.drops == 0
    people = {number: name for name, number in family.items()}
    events = sorted((event for event in seen.events if event.pid in people), key=lambda event: event.ts)
    return [said(event, people) for name in family for event in events if people[event.pid] == name]


@pytest.mark.slow
def test_all_modes_tell_the_same_of_the_same_actions(guests: Guests) -> None:
    first, *others = (story(guests(f"tap:{mode}")) for mode in MODES)
    assert len(first) > 60
    for mode, other in zip(MODES[1:], others, strict=True):
        assert other == first, f"{mode} tells otherwise"


@pytest.mark.parametrize("mode", EACH_MODE)
def test_what_happened_is_what_is_told(guests: Guests, mode: str) -> None:
    family, seen = act(guests(f"tap:{mode}"), "tap_actions")
    mine = {"pid": family["pid"]}
    absent = seen.one(**mine, type="openat", name="/work/tap/none", result=-errno.ENOENT)
    assert (absent["name_exit"], absent["kernel_name"]) == (b"/work/tap/none",) * 2
    seen.one(**mine, type="openat", name=b'/work/tap/\xff"\\\n', flags={"O_WRONLY", "O_CREAT"})
    seen.one(**mine, type="link", oldpath="/work/tap/one", kernel_newpath="/work/tap/two", result=0)
    seen.one(**mine, type="symlink", target="one", linkpath="/work/tap/three", kernel_linkpath="/work/tap/three")
    seen.one(**mine, type="rename", kernel_oldpath="/work/tap/two", kernel_newpath="/work/tap/four", result=0)
    seen.one(**mine, type="unlink", name="/work/tap/four", kernel_name="/work/tap/four", result=0)
    seen.one(**mine, type="connect", address="127.0.0.1", port=9, kernel_port=9, result=0)
    assert "kernel_port" not in seen.one(**mine, type="sendto", data=b"four", result=4).params
    seen.one(**mine, type="bind", kernel_address="127.0.0.1", kernel_port=4711, result=0)
    seen.one(**mine, type="sendto", data=b"fives", kernel_address="127.0.0.1", kernel_port=9, result=5)
    seen.one(**mine, type="vfork", result=family["vforked"])
    seen.one(type="procexit", pid=family["forked"], ppid=family["pid"], status=7 << 8)
    ran = seen.one(type="execve", pid=family["ran"], result=0)
    assert ran["args"] == (b"one two", b"", "é".encode())
    assert (ran["kernel_filename"], ran["parent"]) == (b"/usr/bin/true", b"tap_actions")
    begun = seen.one(type="procexec", pid=family["ran"])
    assert (begun["filename"], begun["args"], begun["euid"]) == (b"/usr/bin/true", ran["args"], 0)
    seen.one(type="execve", pid=family["failed"], kernel_filename="/work/tap/no-program", result=-errno.ENOENT)


@pytest.mark.parametrize("mode", EACH_MODE)
def test_a_name_that_is_not_in_memory_at_entry_is_flagged_and_known_all_the_same(guests: Guests, mode: str) -> None:
    family, seen = act(guests(f"tap:{mode}"), "tap_actions")
    cold = seen.one(pid=family["pid"], type="openat", kernel_name="/work/tap/cold")
    assert cold["not_resident"] == frozenset({"name"})
    assert (cold["name"], cold["name_exit"]) == (b"/work/tap/cold",) * 2


@pytest.mark.parametrize("mode", EACH_MODE)
def test_a_32_bit_call_is_known_by_its_own_number(guests: Guests, mode: str) -> None:
    made, seen = act(guests(f"tap:{mode}"), "tap_compat")
    opened = seen.one(type="openat", pid=made["pid"], name="/work/compat", result=-errno.ENOENT)
    assert (opened["abi"], opened["dirfd"], opened["kernel_name"]) == ("i386", -100, b"/work/compat")


@pytest.mark.parametrize("mode", EACH_MODE)
def test_events_across_a_rings_end_are_whole(guests: Guests, mode: str) -> None:
    deployment = guests(f"tap:{mode}")
    expected = [b"/work/" + b"./" * 1993 + b"%08d" % number for number in range(60)]
    # Each event holds three names of 4,000 bytes: 60 of them fit into a ring of 1 MiB, and 240 go round it.
    for _ in range(4):
        made, seen = act(deployment, "tap_long_names", "60", "4000")
        assert seen.count(type="openat", pid=made["pid"], result=-errno.ENOENT) == 60
        opens = sorted(seen.all(type="openat", pid=made["pid"], result=-errno.ENOENT), key=lambda event: event.ts)
        for name in ("name", "name_exit", "kernel_name"):
            assert [event[name] for event in opens if event[name] in expected] == expected, name


@pytest.mark.parametrize("mode", EACH_MODE)
def test_what_the_kernel_acts_on_is_told_of_every_call_that_it_is_promised_of(guests: Guests, mode: str) -> None:
    described = {call.name: call for call in tap.generator().Description.read(tap.FOLDER).calls}
    made, seen = act(guests(f"tap:{mode}"), "tap_copies")
    assert len(made["calls"]) == 19
    for call in made["calls"]:
        names = [described[call].arguments[index].name for index in described[call].copies]
        copies = {f"kernel_{name}": f"/work/{call}-{place}" for place, name in enumerate(names, 1)}
        assert copies
        seen.one(type=call, pid=made["pid"], **copies)


@pytest.mark.parametrize("mode", EACH_MODE)
def test_a_process_is_told_with_who_it_is_and_where(guests: Guests, mode: str) -> None:
    truth, seen = act(guests(f"tap:{mode}"), "tap_process")
    pid = truth.pop("pid")
    who = {**truth, "uid": 1001, "euid": 1002, "gid": 1003, "egid": 1004, "caps": 0}
    seen.one(type="procexec", pid=pid, args=("", "two words", "end"), **who)
    forked = seen.one(type="procfork", pid=pid, parent="tap_process", **who)
    seen.one(type="procexit", pid=forked["task_pid"], ppid=pid, status=6 << 8, parent="tap_process", **who)
    seen.one(type="procexit", pid=pid, status=0, **who)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["bpf", "modern-bpf"])
def test_nothing_is_kept_of_processes_that_ended_while_it_was_being_attached(guests: Guests, mode: str) -> None:
    """It would be told of whoever got the address of one of them."""
    deployment = guests(f"tap:{mode}")
    quiet = kept_after(deployment, "true")
    busy = [kept_after(deployment, "until [ -e /work/enough ]; do cat /etc/hostname; done") for _ in range(3)]
    assert busy == [quiet] * 3


def kept_after(deployment: Deployment, meanwhile: str) -> int:
    """Of how many tasks a call is kept after it was attached while others came and went."""
    machine = deployment.machine
    machine.run(["rm", "-f", "/work/enough", "/work/over"])
    machine.run(["setsid", "-f", "sh", "-c", f"({meanwhile}) >/dev/null 2>&1; touch /work/over"])
    deployment.unload()
    deployment.load()
    machine.run(["touch", "/work/enough"])
    machine.run(["sh", "-c", "until [ -e /work/over ]; do sleep 0.1; done"])
    return len(kept_tasks(deployment))


def kept_tasks(deployment: Deployment) -> list[Entry]:
    bpftool = Bpftool(deployment.machine)
    return [entry for found in bpftool.maps() if found.name == "tap_tasks" for entry in bpftool.entries(found)]


@pytest.mark.parametrize("mode", EACH_MODE)
def test_what_a_full_ring_cannot_take_is_counted(guests: Guests, mode: str) -> None:
    before, after = flood(guests(f"tap:{mode}"))
    assert after["dropped"] > before["dropped"]
    for taken in (before, after):
        assert taken["offered"] == taken["delivered"] + taken["dropped"]
        assert (taken["waiting"], taken["missed"], taken["malformed"]) == (0, 0, 0)


def name_is_of_the_entry(deployment: Deployment) -> None:
    made, seen = act(deployment, "tap_race")
    opened = seen.one(type="openat", pid=made["pid"], name="/work/race", kernel_name="/work/race")
    assert opened["name_exit"] == b"/work/mild"


def flood_is_offered(deployment: Deployment) -> None:
    before, after = flood(deployment)
    assert after["offered"] - before["offered"] >= FLOOD, "it dropped in silence"


def failure_is_told_as_failure(deployment: Deployment) -> None:
    family, seen = act(deployment, "tap_actions")
    seen.one(type="openat", pid=family["pid"], name="/work/tap/none", result=-errno.ENOENT)


def narrow_call_is_told(deployment: Deployment) -> None:
    made, seen = act(deployment, "tap_compat")
    seen.one(type="openat", pid=made["pid"], abi="i386")


def vfork_is_told(deployment: Deployment) -> None:
    family, seen = act(deployment, "tap_actions")
    seen.one(type={"fork", "clone"}, pid=family["pid"], result=family["forked"])
    seen.one(type="vfork", pid=family["pid"], result=family["vforked"])


def name_is_whole(deployment: Deployment) -> None:
    family, seen = act(deployment, "tap_actions")
    seen.one(type="openat", pid=family["pid"], name_exit="/work/tap/none", kernel_name="/work/tap/none")


def memory_comes_back(deployment: Deployment) -> None:
    before = vmalloc(deployment)
    deployment.unload()
    freed = before - vmalloc(deployment)
    deployment.load()
    assert freed > 7 * 1024, "the slots' 8 MiB stayed"


def vmalloc(deployment: Deployment) -> int:
    """KiB that vmalloc has handed out."""
    lines = deployment.machine.run(["cat", "/proc/meminfo"]).text.splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmallocUsed:"))


def kernel_is_content(deployment: Deployment) -> None:
    deployment.begin()
    printk = KernelLog(deployment.machine)
    for path in ("/tap-sleep", "/tap-oops"):
        deployment.machine.run(["cat", path], check=False)
    splats = find_splats(printk.records())
    assert not splats, "\n".join(splat.title for splat in splats)


Check = Callable[[Deployment], None]
# By a fault's name: what is so of the right build, and what is said when it is not so.
EVERY_MODE: dict[str, tuple[Check, str]] = {
    "exit-only": (name_is_of_the_entry, "the nearest has name='/work/mild'"),
    "silent-drop": (flood_is_offered, "it dropped in silence"),
    "result": (failure_is_told_as_failure, "the nearest has result=0"),
    "no-compat": (narrow_call_is_told, "no event with type='openat', pid=[0-9]+, abi='i386'"),
    "no-vfork": (vfork_is_told, "no event with type='vfork'"),
    "path-length": (name_is_whole, "the nearest has name_exit='/work/tap/non'"),
}
KMOD: dict[str, tuple[Check, str]] = {"leak": (memory_comes_back, "the slots' 8 MiB stayed")}
BREAKING: dict[str, tuple[Check, str]] = {
    "sleep": (kernel_is_content, "scheduling while atomic"),
    "oops": (kernel_is_content, "NULL pointer dereference"),
}
# The two probes are made of one source.
FAULTS = [
    *(("kmod", fault) for fault in (*EVERY_MODE, *KMOD)),
    *(
        pytest.param(mode, fault, marks=[] if (mode, fault) == ("modern-bpf", "exit-only") else pytest.mark.slow)
        for mode in ("bpf", "modern-bpf")
        for fault in EVERY_MODE
    ),
]


@pytest.mark.parametrize("mode", EACH_MODE)
def test_the_right_build_has_none_of_the_faults(guests: Guests, mode: str) -> None:
    faults = {**EVERY_MODE, **(KMOD | BREAKING if mode == "kmod" else {})}
    for check in dict.fromkeys(check for check, _ in faults.values()):
        check(guests(f"tap:{mode}"))


@pytest.mark.parametrize(("mode", "fault"), FAULTS)
def test_a_wrong_build_has_the_fault_that_it_is_named_for(guests: Guests, mode: str, fault: str) -> None:
    check, fails_by = (EVERY_MODE | KMOD)[fault]
    with pytest.raises(AssertionError, match=fails_by):
        check(guests(f"tap+{fault}:{mode}"))


@pytest.mark.parametrize("fault", BREAKING)
def test_a_wrong_build_that_breaks_the_kernels_rules_is_told_of_by_the_kernel(
    alone: Callable[[str], Deployment], fault: str
) -> None:
    check, fails_by = BREAKING[fault]
    with pytest.raises(AssertionError, match=fails_by):
        check(alone(f"tap+{fault}:kmod"))
