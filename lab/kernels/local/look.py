"""Finding a kernel by looking: in a build tree, an unpacked package, or a folder with a few files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.arches import ARCHES, Arch
from lab.errors import RequestError
from lab.kernels.local.bootfile import BootFile, Form, read_bootfile
from lab.kernels.local.tree import LARGEST_CONFIG, compiler_of, is_tree, tree_release, why_unusable

# Where images lie, as patterns below a folder: the first group that has one is the kernel's, the best of a group first.
_IN_TREE = ("arch/x86/boot/bzImage", "arch/*/boot/Image", "arch/*/boot/Image.gz", "arch/*/boot/vmlinuz.efi")
_IN_PACKAGE = (
    *("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"),
    *("boot/vmlinuz", "boot/bzImage*", "boot/Image*", "boot/vmlinux*"),
)
_FLAT = ("vmlinuz*", "bzImage*", "Image*", "vmlinux*")
_LOOKED_FOR = "vmlinuz, bzImage, Image or vmlinux, in boot/, arch/*/boot/ and lib/modules/*/ too"
_MODULES = ("usr/lib/modules", "lib/modules", "modules")
_SUFFIX = re.compile(r"(?:vmlinuz|vmlinux|bzImage|Image)-(\d[A-Za-z0-9._+~-]*)")
_RELEASE = re.compile(r"\d+\.\d+[A-Za-z0-9._+~-]*")
# How far below the folder that was named a kernel may lie (images of others have it in data/kernels/6.12), and how
# many folders are looked into.
_DEPTH = 4
_FOLDERS = 4000


@dataclass(frozen=True)
class Found:
    """A kernel where it lies. `modules` is the folder that they are in (a build tree where they were not installed),
    None where all is built in; `tree` what drivers can be compiled against, or None and `no_headers` says why.
    `compiler` is "gcc-12", empty where nothing tells it."""

    image: BootFile
    release: str
    modules: Path | None
    config: Path | None
    tree: Path | None
    no_headers: str
    compiler: str


def look(folder: Path, arch: Arch, name: str = "") -> Found:
    """The one kernel for `arch` in that folder; RequestError when there is none, or another's, or more than one.

    `name` is what the user calls the folder, where that is not its path.
    """
    root, image = _choose(name or str(folder), arch, _images(folder, name or str(folder)))
    release = _release(root, image)
    modules = _modules(root, image, release)
    config = _config(root, modules, release)
    tree, no_headers = _tree(root, modules, release, arch)
    if config is None and tree and (tree / ".config").is_file():
        config = tree / ".config"
    compiler = compiler_of(config, tree, image.banner)
    if tree and compiler.startswith("clang"):
        tree, no_headers = None, f"kernel {release} was built with {compiler}, and the lab compiles modules with gcc"
    return Found(image, release, modules, config, tree, no_headers, compiler)


def holds_kernel(folder: Path) -> bool:
    """Is there any kernel image in that folder, for whatever architecture?"""
    try:
        return bool(_images(folder, ""))
    except RequestError:
        return False


def _images(folder: Path, name: str) -> list[tuple[Path, BootFile]]:
    """Every kernel image, with the folder that its other files are below: all that lie equally deep."""
    for level in _levels(folder):
        found = [(root, image) for root in level for image in _images_at(root)]
        if found:
            return found
        if any(is_tree(root) for root in level):
            raise RequestError(
                f"{name} holds a kernel's tree without a bootable image",
                hint="build it: make bzImage modules (on arm64 and riscv64 make Image modules)",
            )
    raise RequestError(f"there is no kernel in {name}", hint=f"the lab looks for {_LOOKED_FOR}")


def _levels(folder: Path) -> Iterator[list[Path]]:
    """The folder itself, then all folders one deeper, and so on."""
    level, seen = [folder], 0
    for _ in range(_DEPTH + 1):
        yield level
        deeper = []
        for parent in level:
            seen += 1
            if seen > _FOLDERS:
                return
            deeper += [parent / name for name in _subfolders(parent)]
        level = deeper


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # forbidden, or gone
        return []


def _images_at(root: Path) -> list[BootFile]:
    for group in (_IN_TREE, _IN_PACKAGE, _FLAT):
        paths = [path for pattern in group for path in sorted(root.glob(pattern))]
        # /boot has links to its kernels.
        unlike = {path.resolve(): path for path in reversed(paths)}
        found = [image for path in paths if unlike[path.resolve()] == path and (image := read_bootfile(path))]
        if found:
            return found
    return []


def _choose(name: str, arch: Arch, found: list[tuple[Path, BootFile]]) -> tuple[Path, BootFile]:
    own = [(root, image) for root, image in found if image.arch == arch.name]
    if not own:
        others = ", ".join(sorted({image.arch for _, image in found}))
        known = {known.name for known in ARCHES} & {image.arch for _, image in found}
        raise RequestError(
            f"the kernel in {name} is for {others}, not for {arch.name}",
            hint=f"--arch {min(known)}" if known else "name a kernel for another architecture",
        )
    kernels = {image.release or image.path.name for _, image in own}
    if len(kernels) > 1:
        raise RequestError(
            f"there are {len(kernels)} kernels for {arch.name} in {name}: {', '.join(sorted(kernels)[:10])}",
            hint="name a folder with one of them",
        )
    root, image = min(own, key=lambda pair: (bool(pair[1].problem), pair[1].form is Form.ELF))
    if image.problem:
        raise RequestError(image.problem, hint="put the kernel's bzImage or Image beside it")
    return root, image


def _release(root: Path, image: BootFile) -> str:
    suffix = _SUFFIX.fullmatch(image.path.name)
    in_modules = image.path.parent.parent.name == "modules"
    folders = _modules_folders(root)
    candidates = (
        image.release,
        tree_release(root),
        image.path.parent.name if in_modules else "",
        suffix[1] if suffix else "",
        folders[0].name if len(folders) == 1 else "",
    )
    for candidate in candidates:
        if _RELEASE.fullmatch(candidate):
            return candidate
    raise RequestError(
        f"nothing tells the release of the kernel in {image.path.name}",
        hint="name it vmlinuz-RELEASE, as uname -r says it",
    )


def _modules_folders(root: Path) -> list[Path]:
    return [root / place / name for place in _MODULES for name in _subfolders(root / place)]


def _modules(root: Path, image: BootFile, release: str) -> Path | None:
    folders = _modules_folders(root)
    for folder in folders:
        if folder.name == release:
            return folder
    if is_tree(root):
        order = root / "modules.order"
        return root if order.is_file() and order.stat().st_size else None
    others = [folder.name for folder in folders if next(folder.rglob("*.ko*"), None)]
    if others:
        raise RequestError(
            f"{image.path.name} is kernel {release}, and the modules beside it are of {', '.join(others)}",
            hint=f"put its own into lib/modules/{release}",
        )
    return None


def _config(root: Path, modules: Path | None, release: str) -> Path | None:
    places = [f"boot/config-{release}", "boot/config", f"config-{release}", ".config", "config"]
    paths = [*([modules / "config"] if modules else []), *(root / place for place in places)]
    return next((path for path in paths if path.is_file() and path.stat().st_size <= LARGEST_CONFIG), None)


def _tree(root: Path, modules: Path | None, release: str, arch: Arch) -> tuple[Path | None, str]:
    """What drivers can be compiled against, or why nothing can be."""
    places = [root / "usr/src" / f"linux-headers-{release}", root / "usr/src/kernels" / release]
    places += [*([root] if is_tree(root) else []), *([modules / "build"] if modules else [])]
    places += [root / f"linux-headers-{release}", root / "build", *sorted(root.glob("usr/src/*"))]
    reasons = []
    for place in places:
        if not is_tree(place):
            continue
        tree = place.resolve()
        if tree_release(tree) not in ("", release):
            reasons.append(f"the build tree {tree} is of {tree_release(tree)}")
            continue
        reason = why_unusable(tree, arch)
        if not reason:
            return tree, ""
        reasons.append(reason)
    if reasons:
        return None, f"{reasons[0]}, so nothing can be compiled for kernel {release}"
    sought = f"usr/src/linux-headers-{release}, usr/src/kernels/{release}, lib/modules/{release}/build"
    return None, f"kernel {release} comes without a build tree (looked for: {sought})"
