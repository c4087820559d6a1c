"""A container's configuration is what a runtime is given, and what it says of the container is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from lab.errors import UnsupportedError
from lab.machines.containers import Containers
from lab.machines.machine import Machine
from lab.machines.result import Result

SAID = b"321 77\nmnt 1\npid 2\nnet 3\nuts 4\nipc 5\ncgroup 6\nuser 7\n"


class Guest:
    """A machine whose shell answers with what a test says, and keeps what it was asked."""

    def __init__(self, answer: Result) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        self.asked.append(list(argv))
        return self.answer


def test_a_container_has_its_process_cgroup_and_namespaces() -> None:
    guest = Guest(Result(("sh",), 0, SAID, b""))
    box = Containers(cast(Machine, guest)).start("web")
    assert (box.pid, box.cgroup, box.cgroup_id, box.root) == (321, "/lab/web", 77, "/work/containers/web/rootfs")
    assert box.namespaces == {"mnt": 1, "pid": 2, "net": 3, "uts": 4, "ipc": 5, "cgroup": 6, "user": 7}


@pytest.mark.parametrize("privileged", [False, True])
def test_only_a_privileged_one_may_administer(privileged: bool) -> None:
    guest = Guest(Result(("sh",), 0, SAID, b""))
    Containers(cast(Machine, guest)).start("web", privileged=privileged, host=privileged)
    config = json.loads(guest.asked[0][-1])
    assert ("CAP_SYS_ADMIN" in config["process"]["capabilities"]["effective"]) == privileged
    assert any(mount["destination"] == "/host/proc" for mount in config["mounts"]) == privileged


def test_a_guest_that_starts_none_is_unsupported_and_says_why() -> None:
    guest = Guest(Result(("sh",), 1, b"", b"cannot clone"))
    with pytest.raises(UnsupportedError, match="starts no container: cannot clone"):
        Containers(cast(Machine, guest)).start("web")


def test_a_command_runs_in_it_by_the_runtime() -> None:
    guest = Guest(Result(("sh",), 0, SAID, b""))
    containers = Containers(cast(Machine, guest))
    containers.run(containers.start("web"), ["id", "-u"])
    assert guest.asked[-1] == ["crun", "exec", "web", "id", "-u"]
