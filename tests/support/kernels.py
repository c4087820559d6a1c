"""Kernels in test archives, packed as Debian and Ubuntu pack theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.archive import Archive

CONFIG = "CONFIG_BPF=y\nCONFIG_OVERLAY_FS=m\n# CONFIG_KGDB is not set\nCONFIG_HZ=250\n"


@dataclass(frozen=True)
class Files:
    """A kernel's files: texts, or real ones."""

    image: str | Path
    config: str | Path
    modules: Path | None = None


def add_debian_kernel(
    archive: Archive, suite: str, release: str, version: str, *, headers: bool = True, depends: str = ""
) -> Path:
    """A kernel as Debian packs them up to 6.18, with the files that the lab looks for; returns the image's package."""
    files = {
        f"boot/vmlinuz-{release}": f"image of {release}\n",
        f"boot/config-{release}": CONFIG,
        f"usr/lib/modules/{release}/modules.builtin": "",
    }
    if headers:
        common = f"linux-headers-{version}-common"
        needs = f"{common} (= {version}), linux-kbuild-{version}, gcc-14-for-host"
        tree = {f"usr/src/linux-headers-{release}/Makefile": ""}
        archive.add(suite, f"linux-headers-{release}", version, tree, needs)
        archive.add(suite, common, version, {f"usr/src/{common}/Makefile": ""})
    return archive.add(suite, f"linux-image-{release}", version, files, depends)


def add_ubuntu_kernel(
    archive: Archive,
    suite: str,
    release: str,
    version: str,
    *,
    signed: bool = True,
    extra: bool = True,
    shared: str = "",
    files: Files | None = None,
) -> Path:
    """A kernel as Ubuntu packs them, with headers; `shared` is the package of what all flavours share, where its name
    is not the usual one. Returns the image's package."""
    own = files or Files(f"image of {release}\n", CONFIG)
    modules: dict[str, str | Path] = {f"boot/config-{release}": own.config, f"boot/System.map-{release}": "\n"}
    if own.modules:
        modules[f"lib/modules/{release}"] = own.modules
    else:
        modules[f"lib/modules/{release}/modules.builtin"] = ""
    archive.add(suite, f"linux-modules-{release}", version, modules)
    if extra:
        rarer: dict[str, str | Path] = {f"lib/modules/{release}/kernel/drivers/rare.ko": "rare\n"}
        archive.add(suite, f"linux-modules-extra-{release}", version, rarer, f"linux-modules-{release}")
    common = shared or f"linux-headers-{release.rpartition('-')[0]}"
    tree: dict[str, str | Path] = {f"usr/src/linux-headers-{release}/Makefile": ""}
    needs = f"{common}, libc6 (>= 2.34), libelf1 (>= 0.142), libssl3 (>= 3.0.0~~alpha1), zlib1g (>= 1:1.2.0)"
    archive.add(suite, f"linux-headers-{release}", version, tree, needs)
    archive.add(suite, common, version, {f"usr/src/{common}/Makefile": ""}, arch="all")
    name = f"linux-image-{release}" if signed else f"linux-image-unsigned-{release}"
    needs = f"kmod, linux-base (>= 4.5ubuntu1~16.04.1), linux-modules-{release}"
    return archive.add(suite, name, version, {f"boot/vmlinuz-{release}": own.image}, needs)
