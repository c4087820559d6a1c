"""Real containers in a guest: crun, cgroup v2, namespaces of their own, an overlay as their root.

There is no image to fetch: a container's root is busybox, on a lower layer that all of them share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import UnsupportedError
from lab.machines.machine import Machine
from lab.machines.result import Result

_FOLDER = "/work/containers"
_CGROUPS = "/lab"
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")
_KINDS = ("mnt", "pid", "net", "uts", "ipc", "cgroup", "user")
# What runtimes give when they are asked for nothing else.
_USUAL = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
_PRIVILEGED = (*_USUAL, "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "NET_ADMIN", "DAC_READ_SEARCH", "BPF")
_APPLETS = (
    "cat", "chmod", "chroot", "cp", "find", "grep", "id", "ln", "ls", "mkdir", "mknod", "mount", "nc", "nsenter", "rm",
    "sh", "sleep", "touch", "true", "unshare",
)  # fmt: skip
# $1 is the folder, $2 the container's name; its config.json comes on the arguments' end.
_START = f"""
set -e
base=$1/base box=$1/$2
if [ ! -d "$base" ]; then
	mkdir -p "$base/bin" "$base/etc" "$base/proc" "$base/sys" "$base/dev" "$base/tmp" "$base/host"
	cp /usr/bin/busybox "$base/bin/busybox"
	for name in {" ".join(_APPLETS)}; do ln -s busybox "$base/bin/$name"; done
	echo root:x:0:0:root:/:/bin/sh >"$base/etc/passwd"
	echo container >"$base/etc/hostname"
fi
mkdir -p "$box/upper" "$box/work" "$box/rootfs"
mount -t overlay -o "lowerdir=$base,upperdir=$box/upper,workdir=$box/work" overlay "$box/rootfs"
printf %s "$3" >"$box/config.json"
crun --log="$box/log" run --detach --bundle "$box" --pid-file "$box/pid" "$2" </dev/null >/dev/null 2>&1 || {{
	cat "$box/log"
	exit 1
}}
pid=$(cat "$box/pid")
echo "$pid" "$(stat -c %i "/sys/fs/cgroup{_CGROUPS}/$2")"
for kind in {" ".join(_KINDS)}; do stat -L -c "$kind %i" "/proc/$pid/ns/$kind"; done
"""


@dataclass(frozen=True)
class Container:
    """A running container. `pid` is its first process, `cgroup` its path below the root of cgroup v2 and `cgroup_id`
    that folder's inode, `namespaces` their inodes by kind, `root` where its root lies in the guest."""

    name: str
    pid: int
    cgroup: str
    cgroup_id: int
    namespaces: Mapping[str, int]
    root: str


class Containers:
    """The `containers` fixture."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def start(self, name: str, *, privileged: bool = False, host: bool = False) -> Container:
        """A container that runs `sleep`; with `host`, the guest's own /proc is its /host/proc.

        UnsupportedError when this guest cannot have one.
        """
        config = json.dumps(_config(name, privileged=privileged, host=host))
        done = self._machine.run(["sh", "-c", _START, "sh", _FOLDER, name, config], check=False, deadline=20)
        if done.status != 0:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()[-500:]
            raise UnsupportedError(f"this guest starts no container: {said}")
        first, *kinds = done.text.splitlines()
        pid, inode = (int(word) for word in first.split())
        spaces = {kind: int(number) for kind, number in (line.split() for line in kinds)}
        return Container(name, pid, f"{_CGROUPS}/{name}", inode, spaces, f"{_FOLDER}/{name}/rootfs")

    def run(self, container: Container, argv: Sequence[str], *, check: bool = True, deadline: float = 10) -> Result:
        """Run a command in it, as `docker exec` does."""
        return self._machine.run(["crun", "exec", container.name, *argv], check=check, deadline=deadline)


def _config(name: str, *, privileged: bool, host: bool) -> dict[str, Any]:
    """An OCI runtime's config.json."""
    capabilities = [f"CAP_{word}" for word in (_PRIVILEGED if privileged else _USUAL)]
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "mode=1777"]},  # noqa: S108
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
    ]
    if host:
        mounts.append({"destination": "/host/proc", "type": "bind", "source": "/proc", "options": ["rbind", "rw"]})
    return {
        "ociVersion": "1.0.0",
        "hostname": name,
        "root": {"path": "rootfs"},
        "mounts": mounts,
        "process": {
            "cwd": "/",
            "args": ["sleep", "1000000"],
            "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "linux": {
            "cgroupsPath": f"{_CGROUPS}/{name}",
            "namespaces": [{"type": kind} for kind in _NAMESPACES],
        },
    }
