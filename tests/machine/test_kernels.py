"""Kernels that lack something: the guest runs without it, or is refused before it is started."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from lab.errors import UnsupportedError
from lab.images.initrd import make_initrd
from lab.kernels.kernel import Kernel
from lab.matrix.provision import Lab, Prepared


def without(kernel: Kernel, module: str, folder: Path) -> Kernel:
    """The kernel, as it would be without that module."""
    assert kernel.modules is not None

    def ignore(_: str, names: list[str]) -> list[str]:
        return [name for name in names if name.partition(".ko")[0] == module]

    shutil.copytree(kernel.modules, folder / "modules", copy_function=os.symlink, ignore=ignore)
    return dataclasses.replace(kernel, modules=folder / "modules", key=f"{kernel.key}-without-{module}")


@pytest.mark.slow
def test_without_overlayfs_the_root_is_copied_into_memory_and_can_be_written(
    lab: Lab, bare: Prepared, tmp_path: Path
) -> None:
    told: list[str] = []
    kernel = without(bare.kernel, "overlay", tmp_path)
    initrd = make_initrd(kernel, bare.image.busybox, lab.store, told.append)
    with lab.machine(dataclasses.replace(bare, kernel=kernel, initrd=initrd), "test") as machine:
        machine.start()
        machine.run(["touch", "/etc/written"])
        assert machine.run(["stat", "-f", "-c", "%T", "/etc/written"]).text.strip() == "tmpfs"
    assert [text for text in told if "CONFIG_OVERLAY_FS" in text]


def test_without_virtio_there_is_no_guest(lab: Lab, bare: Prepared, tmp_path: Path) -> None:
    kernel = without(bare.kernel, "virtio_blk", tmp_path)
    with pytest.raises(UnsupportedError, match=r"no virtio_blk \(CONFIG_VIRTIO_BLK\)"):
        make_initrd(kernel, bare.image.busybox, lab.store, lambda _: None)
