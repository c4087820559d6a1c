"""What root in the guest can do to a driver's eBPF programs: by bpf(), as bpftool does it.

No driver holds the kernel's BPF objects alone: whoever is root finds them by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.evidence.bpf import Map
from lab.evidence.bpftool import Bpftool
from lab.machines.machine import Machine

_BATCH = "/run/lab/tamper"


@dataclass(frozen=True)
class Tampered:
    """How many commands the kernel took, and how many it refused."""

    done: int
    refused: int


class Tampering:
    """The `tamper` fixture."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        # Not by `lab exec`, which is a process of its own each time.
        self._bpftool = Bpftool(machine, lambda words, _: machine.run(["bpftool", "-j", *words]).stdout)

    def maps(self, *, kind: str = "", name: str = "") -> list[Map]:
        """The maps in the kernel of that kind and name. The kernel keeps 15 bytes of a name."""
        found = self._bpftool.maps()
        return [item for item in found if kind in ("", item.type) and name[:15] in ("", item.name)]

    def delete(self, of: Map, keys: Iterable[int]) -> Tampered:
        """Delete these entries of a map with keys of 4 bytes: of a table of tail calls, programs."""
        return self._batch(f"map delete id {of.id} key hex {_bytes(key)}" for key in keys)

    def zero(self, of: Map, keys: Iterable[int]) -> Tampered:
        """Overwrite these entries of a map with keys of 4 bytes."""
        value = " ".join(["00"] * of.value_size)
        return self._batch(f"map update id {of.id} key hex {_bytes(key)} value hex {value}" for key in keys)

    def detach_links(self) -> Tampered:
        """Detach every link in the kernel from what it is attached to."""
        return self._batch(f"link detach id {link.id}" for link in self._bpftool.links())

    def _batch(self, commands: Iterable[str]) -> Tampered:
        done = refused = 0
        for some in _slices(list(commands), 512):
            refused_now = self._try(some)
            refused += refused_now
            done += len(some) - refused_now
        return Tampered(done, refused)

    def _try(self, commands: Sequence[str]) -> int:
        """How many of them the kernel refuses. A batch ends at its first refusal: then one by one."""
        self._machine.write(_BATCH, "".join(f"{command}\n" for command in commands).encode())
        if self._machine.run(["bpftool", "batch", "file", _BATCH], check=False).status == 0:
            return 0
        return sum(self._machine.run(["bpftool", *words.split()], check=False).status != 0 for words in commands)


def _bytes(number: int) -> str:
    return " ".join(f"{byte:02x}" for byte in number.to_bytes(4, "little"))


def _slices(items: list[str], size: int) -> list[list[str]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
