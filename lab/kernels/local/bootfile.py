"""Kernel image files: what one is, by its content and not by its name."""

from __future__ import annotations

import bz2
import lzma
import mmap
import re
import struct
import sys
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.errors import RequestError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LARGEST = 2 << 30  # bytes of a file that is looked at: a vmlinux with its debug information has less
_UNPACKED = 512 << 20  # bytes that one may unpack to
_BANNER = re.compile(rb"Linux version (\d[\x20-\x7e]{0,400})")
_CONFIG = re.compile(rb"IKCFG_ST(\x1f\x8b.*?)IKCFG_ED", re.DOTALL)
_ELF_MACHINES = {3: "i386", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64"}
_PE_MACHINES = {0x014C: "i386", 0x5064: "riscv64", 0x8664: "amd64", 0xAA64: "arm64"}

_OTHER = "another architecture"

_Content = bytes | mmap.mmap


class Form(StrEnum):
    """How a kernel image is packed."""

    BZIMAGE = "bzImage"
    IMAGE = "Image"
    GZIP = "Image.gz"
    ZBOOT = "EFI zboot image"
    ELF = "vmlinux"


@dataclass(frozen=True)
class BootFile:
    """A kernel image. `banner` is what it says behind "Linux version", empty where that could not be read; `problem`
    says why QEMU cannot start it at all, empty where it can."""

    path: Path
    form: Form
    arch: str  # Debian's name
    banner: str
    problem: str = ""

    @property
    def release(self) -> str:
        """As uname -r will say it; empty where the image does not tell."""
        return self.banner.split(" ", 1)[0]

    @property
    def as_it_is(self) -> bool:
        """Does QEMU start this very file? It unpacks gzip for arm64 only and EFI images only now and then, and starts a
        vmlinux only when the kernel was built for that."""
        return self.form in (Form.BZIMAGE, Form.IMAGE) or (self.form is Form.GZIP and self.arch == "arm64")


def read_bootfile(path: Path) -> BootFile | None:
    """What the file says of itself; None when it is no kernel image."""
    try:
        if not path.is_file() or not 0x240 < path.stat().st_size < _LARGEST:
            return None
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _recognise(path, data)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}", hint="make it readable") from error


def plain_kernel(path: Path) -> bytes:
    """The kernel itself, unpacked from whatever its image packs it with; empty where that is not known here."""
    data = path.read_bytes()
    if data[0x202:0x206] == b"HdrS":
        setup, (start, length) = (data[0x1F1] or 4) + 1, struct.unpack_from("<II", data, 0x248)
        return _unpack(data[setup * 512 + start :][:length])
    if data[4:8] == b"zimg":
        start, length = struct.unpack_from("<II", data, 8)
        return _unpack(data[start:][:length])
    return _unpack(data) if data[:2] == b"\x1f\x8b" else data


def config_in(path: Path) -> bytes | None:
    """The configuration that a kernel with CONFIG_IKCONFIG carries in itself; None where there is none."""
    found = _CONFIG.search(plain_kernel(path))
    return (_unpack(found[1]) or None) if found else None


def _recognise(path: Path, data: mmap.mmap) -> BootFile | None:
    if data[0x202:0x206] == b"HdrS" and data[0x1FE:0x200] == b"\x55\xaa":
        return BootFile(path, Form.BZIMAGE, _bzimage_arch(data), _bzimage_banner(data))
    if data[:2] == b"MZ" and data[4:8] == b"zimg":
        (header,) = struct.unpack_from("<I", data, 0x3C)
        machine = int.from_bytes(data[header + 4 : header + 6], "little")
        return BootFile(
            path, Form.ZBOOT, _PE_MACHINES.get(machine, "another architecture"), _banner(plain_kernel(path))
        )
    if data[:2] == b"\x1f\x8b":
        inner = plain_kernel(path)
        arch = _image_arch(inner)
        return BootFile(path, Form.GZIP, arch, _banner(inner)) if arch else None
    if data[:4] == b"\x7fELF":
        return _elf(path, data)
    arch = _image_arch(data)
    return BootFile(path, Form.IMAGE, arch, _banner(data)) if arch else None


def _bzimage_arch(data: _Content) -> str:
    version, flags = (struct.unpack_from("<H", data, offset)[0] for offset in (0x206, 0x236))
    # Before protocol 2.12 (kernel 3.8) an image does not say whether it is of 64 bits.
    return "amd64" if version < 0x20C or flags & 1 else "i386"


def _bzimage_banner(data: _Content) -> str:
    (offset,) = struct.unpack_from("<H", data, 0x20E)
    text = data[offset + 0x200 : offset + 0x200 + 400].partition(b"\0")[0] if offset else b""
    return text.decode("ascii", "replace") if text[:1].isdigit() else ""


def _image_arch(data: _Content) -> str:
    if data[56:60] == b"ARM\x64":
        return "arm64"
    return "riscv64" if data[48:53] == b"RISCV" or data[56:60] == b"RSC\x05" else ""


def _elf(path: Path, data: mmap.mmap) -> BootFile | None:
    """A vmlinux; modules and the like are ELF files too, but none that run (or have no version of Linux in them)."""
    kind, machine = struct.unpack_from("<HH", data, 16)
    banner = _banner(data)
    if kind not in (2, 3) or not banner:
        return None
    arch = _ELF_MACHINES.get(machine, _OTHER)
    problem = "" if arch == "amd64" else f"{path.name} is an ELF file, which QEMU starts for amd64 only"
    return BootFile(path, Form.ELF, arch, banner, problem)


def _banner(data: _Content) -> str:
    found = _BANNER.search(data)
    return found[1].decode("ascii").strip() if found else ""


def _unpack(data: bytes) -> bytes:
    """At most _UNPACKED bytes; empty for what is damaged or packed with what Python lacks (lz4, lzo)."""
    try:
        match data[:3]:
            case b"\x1f\x8b\x08":
                return zlib.decompressobj(wbits=31).decompress(data, _UNPACKED)
            case b"BZh":
                return bz2.BZ2Decompressor().decompress(data, _UNPACKED)
            case b"\x28\xb5\x2f":
                return zstd.ZstdDecompressor().decompress(data, _UNPACKED)
            case b"\xfd7z" | b"\x5d\0\0":
                return lzma.LZMADecompressor().decompress(data, _UNPACKED)
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError):
        return b""
    return b""
