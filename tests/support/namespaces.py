"""Hosts that lack something, made of namespaces: as root, or with a user namespace in which we are root."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_AS_ROOT = [] if os.getuid() == 0 else ["--map-root-user"]
# A network namespace with nothing but loopback.
NO_NETWORK = ("unshare", "--net", *_AS_ROOT)
# A user with one ordinary id: no powers over the host, and none within.
NOBODY = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
# A new namespace's loopback is down, and a fresh host may have no ip(8): SIOCSIFFLAGS with IFF_UP.
_LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_network(command: Sequence[str]) -> list[str]:
    """The command, where there is no network but loopback."""
    return [*NO_NETWORK, sys.executable, "-c", _LOOPBACK_UP, *command]


def with_small_disk(place: Path, options: str, command: Sequence[str]) -> list[str]:
    """The command, with a disk of its own at `place`: a tmpfs of those options ("size=4m")."""
    inner = f"mount -t tmpfs -o {options} tmpfs {shlex.quote(str(place))} && exec {shlex.join(command)}"
    return ["unshare", "--mount", *_AS_ROOT, "sh", "-c", inner]
