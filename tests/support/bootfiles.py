"""Kernel image files with the few bytes that tell what they are, and folders of kernels made from them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

_SIZE = 4096


def bzimage(release: str, *, bits: int = 64, payload: bytes = b"", banner: str = "(lab@test) #1 SMP") -> bytes:
    """An x86 bzImage of boot protocol 2.12 with one sector of setup code."""
    head = bytearray(_SIZE)
    head[0x1F1] = 1
    head[0x1FE:0x200] = b"\x55\xaa"
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, 0x20C)
    struct.pack_into("<H", head, 0x20E, 0x100)
    struct.pack_into("<H", head, 0x236, 1 if bits == 64 else 0)
    struct.pack_into("<II", head, 0x248, _SIZE - 1024, len(payload))
    text = f"{release} {banner}".encode() + b"\0"
    head[0x300 : 0x300 + len(text)] = text
    return bytes(head) + payload


def plain_image(release: str, arch: str = "arm64", *, more: bytes = b"") -> bytes:
    """An Image of arm64 or riscv64."""
    head = bytearray(_SIZE)
    if arch == "arm64":
        head[56:60] = b"ARM\x64"
    else:
        head[48:53], head[56:60] = b"RISCV", b"RSC\x05"
    text = b"Linux version %s (lab@test) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP\n\0" % release.encode()
    return bytes(head) + text + more


def zboot(inner: bytes, machine: int = 0xAA64) -> bytes:
    """An EFI image that unpacks another by itself."""
    head = bytearray(_SIZE)
    packed = gzip.compress(inner)
    head[0:8] = b"MZ\0\0zimg"
    struct.pack_into("<II", head, 8, _SIZE, len(packed))
    head[24:29] = b"gzip\0"
    struct.pack_into("<I", head, 0x3C, 0x80)
    head[0x80:0x86] = b"PE\0\0" + struct.pack("<H", machine)
    return bytes(head) + packed


def vmlinux(release: str, *, machine: int = 62, banner: bool = True, loaded_at: int = 0x1000000) -> bytes:
    """An ELF file as kernels are linked: one loaded part, and a note with an entry of its own (XEN's PHYS32_ENTRY)."""
    note = struct.pack("<III", 4, 8, 18) + b"Xen\0" + struct.pack("<Q", 0x1234567)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, loaded_at, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    programs = struct.pack("<IIQQQQQQ", 4, 4, 176, 0, 0, len(note), len(note), 4)
    programs += struct.pack("<IIQQQQQQ", 1, 5, 0, loaded_at, loaded_at, _SIZE, _SIZE, 4096)
    text = b"Linux version %s (lab@test) (gcc version 7.3.1 20180712 (Red Hat 7.3.1-6)) #1\n\0" % release.encode()
    return (header + programs + note + (text if banner else b"")).ljust(_SIZE, b"\0")


def put(folder: Path, files: dict[str, bytes | str]) -> Path:
    """The files below the folder, which is returned."""
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def build_tree(folder: Path, release: str, *, machine: int = 62, arch: str = "x86", config: str = "") -> Path:
    """A kernel's tree after `make`, as far as the lab looks at it, without an image; its programs are of `machine`."""
    fixdep = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 2, machine)
    return put(
        folder,
        {
            "Makefile": "# a kernel's\n",
            ".config": config or "CONFIG_GCC_VERSION=120200\nCONFIG_BPF=y\n",
            "Module.symvers": "0x00000000\tprintk\tvmlinux\tEXPORT_SYMBOL\n",
            "include/generated/autoconf.h": "#define CONFIG_BPF 1\n",
            "include/config/kernel.release": f"{release}\n",
            "include/linux/sched.h": "struct task_struct;\n",
            f"arch/{arch}/Makefile": "",
            "scripts/basic/fixdep": fixdep,
        },
    )
