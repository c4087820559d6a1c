"""Another name for a sensitive file is reported when it is made, and its opening when it is used.

Source: Falco's rules "Create Symlink Over Sensitive Files" and "Create Hardlink Over Sensitive Files"; falco#2203 and
#2916 (/proc/self/root); Vali-Cyber's ebpf-attacks ("symlink"); falcosecurity/libs docs/report.md: open_tree and
move_mount are generic events, without parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lab.drivers.capture import Events
from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.plugin.fixtures import Actor
from lab.scenario import altered, missing, profiled

OPENS = {"open", "openat"}


@dataclass(frozen=True)
class Trick:
    """Another name: `made` is how (a shell's words), `by` the event of it, `param` what that must say; `read` is what
    is then opened."""

    name: str
    made: str
    by: dict[str, Any]
    param: str
    read: str


TRICKS = (
    Trick(
        "symlink", "ln -s /etc/shadow /work/link",
        {"type": {"symlink", "symlinkat"}, "comm": "ln", "target": "/etc/shadow", "linkpath": "/work/link"}, "target",
        "/work/link",
    ),
    Trick(
        "hardlink", "ln /etc/shadow /etc/harmless",
        {"type": {"link", "linkat"}, "comm": "ln", "oldpath": "/etc/shadow", "newpath": "/etc/harmless"}, "oldpath",
        "/etc/harmless",
    ),
    Trick(
        "bind-mount", "touch /work/here; busybox mount --bind /etc/shadow /work/here",
        {"type": "mount", "comm": "busybox", "source": "/etc/shadow", "target": "/work/here"}, "target",
        "/work/here",
    ),
    Trick(
        "chroot", "true",
        {"type": "chroot", "comm": "chroot", "name": "/etc"}, "name",
        "/shadow",
    ),
    Trick(
        "rename", "cp /etc/shadow /etc/copy; mv /etc/copy /etc/harmless",
        {"type": {"rename", "renameat", "renameat2"}, "comm": "mv", "newpath": "/etc/harmless"}, "newpath",
        "/etc/harmless",
    ),
)  # fmt: skip


def tricks() -> list[ParameterSet]:
    found = []
    for trick in TRICKS:
        which = {name: trick.by[name] for name in ("type", "comm")}
        read = {"type": OPENS, "name": trick.read}
        kinds = trick.by["type"]
        marks = [
            pytest.mark.attack(trick.name),
            pytest.mark.syscall(*({kinds} if isinstance(kinds, str) else kinds)),
            pytest.mark.controls(altered(trick.param, **which), missing(**which), missing(**read)),
            *profiled(trick.name, {"symlink", "hardlink", "bind-mount"}),
        ]
        found.append(pytest.param(trick, id=trick.name, marks=marks))
    return found


@pytest.mark.parametrize("trick", tricks())
def test_another_name_for_a_sensitive_file_is_reported(machine: Machine, events: Events, trick: Trick) -> None:
    reader = "busybox cat"
    if trick.name == "chroot":
        machine.run(["cp", "/usr/bin/busybox", "/etc/busybox"])
        reader = "chroot /etc /busybox cat"
    with events.capture() as seen:
        machine.run(["sh", "-c", f"{trick.made}; {reader} {trick.read}"])
    seen.one(**trick.by, result=0)
    seen.one(type=OPENS, comm="busybox", name=trick.read)


# What is opened, by which call: the same file each time.
ROUNDABOUT = {
    "dots": "/etc/../etc/./../etc/shadow",
    "proc-self-root": "/proc/self/root/etc/shadow",
    "proc-1-root": "/proc/1/root/etc/shadow",
    "proc-cwd": "/proc/self/cwd/shadow",
}


def roundabout(name: str) -> ParameterSet:
    which = {"type": OPENS, "comm": "cat", "name": ROUNDABOUT[name]}
    controls = pytest.mark.controls(altered("name", **which), missing(**which))
    marks = [pytest.mark.attack(name), controls, *profiled(name, {"proc-self-root"})]
    return pytest.param(ROUNDABOUT[name], id=name, marks=marks)


@pytest.mark.syscall("open", "openat")
@pytest.mark.parametrize("path", [roundabout(name) for name in ROUNDABOUT])
def test_a_roundabout_path_is_reported_as_it_was_given(machine: Machine, events: Events, path: str) -> None:
    with events.capture() as seen:
        machine.run(["sh", "-c", f"cd /etc; cat {path}"])
    seen.one(type=OPENS, comm="cat", name=path, flags={"O_RDONLY"})


CALLS = "attack_calls"
# By calls that say what they open in another way: what they do, and the event that must say it.
OTHERWISE: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "open-tree": (
        ("open_tree", "/etc/shadow", "/work/here"),
        {"type": "open_tree", "comm": CALLS, "name": "/etc/shadow"},
    ),
    "move-mount": (
        ("open_tree", "/etc/shadow", "/work/here"),
        {"type": "move_mount", "comm": CALLS, "target": "/work/here"},
    ),
    "by-handle": (("handle", "/work/secret"), {"type": "open_by_handle_at", "comm": CALLS, "name": "/work/secret"}),
    "openat2-in-root": (("openat2", "/etc/shadow"), {"type": "openat2", "comm": CALLS, "name": "/etc/shadow"}),
}


def otherwise(name: str) -> ParameterSet:
    words, event = OTHERWISE[name]
    which = {"type": event["type"], "comm": CALLS}
    param = next(reversed(event))
    marks = [
        pytest.mark.attack(name),
        pytest.mark.syscall(event["type"]),
        pytest.mark.controls(altered(param, **which), missing(**which)),
        *profiled(name, {"open-tree", "by-handle"}),
    ]
    return pytest.param(words, event, id=name, marks=marks)


@pytest.mark.parametrize(("words", "event"), [otherwise(name) for name in OTHERWISE])
def test_a_file_reached_by_a_newer_call_is_reported_with_its_path(
    machine: Machine, events: Events, actor: Actor, words: tuple[str, ...], event: dict[str, Any]
) -> None:
    machine.write("/work/here", b"")
    machine.write("/work/secret", b"secret")
    with events.capture() as seen:
        did = actor(CALLS, *words)
    if "unsupported" in did:
        raise UnsupportedError(did["unsupported"])
    assert did["result"] >= 0, f"{words} failed: {did}"
    seen.one(**event, pid=did["pid"])
