"""tap's module as the kernel's own people look at it: sparse finds nothing, and finds what it is there for."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from debian.debian_support import Version

from lab import arches
from lab.archives.aptroot import AptRoot
from lab.archives.debs import unpack_deb
from lab.archives.sources import Sources
from lab.drivers.manifest import DRIVERS
from lab.drivers.work import compiler_package, make_variables, words_of
from lab.images.builder import builder_root
from lab.kernels.headers import build_tree
from lab.matrix.provision import Lab

PROBES = DRIVERS / "tap" / "src" / "probes"
# Of the module's own files: what it finds in the kernel's headers is the kernel's.
_COMPLAINT = re.compile(r"^(?:/build/kmod/)?\w+\.[ch]:\d+:\d+: (?:warning|error): .*$", re.MULTILINE)
_SPARSE = "/sparse"
_DEADLINE = 300.0


@pytest.fixture(scope="module")
def sparse(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, out of its package alone: it needs a C library and nothing else that the package asks for."""
    folder = tmp_path_factory.mktemp("sparse")
    suite = Sources(lab.settings).suite("trixie")
    root = AptRoot(suite, arches.host(), lab.store, lab.settings, lab.notice)
    if not root.is_fresh():
        root.refresh()
    found = [package for package in root.packages("sparse") if package.name == "sparse"]
    unpack_deb(root.download(max(found, key=lambda package: Version(package.version)), folder), folder)
    return folder / "usr/bin/sparse"


def complaints(lab: Lab, sparse: Path, work: Path) -> list[str]:
    """What sparse says of the module in `work`, which is a copy of the probes' sources."""
    kernel = lab.kernels.resolve(lab.settings.kernel, arches.host()).fetch()
    tree = build_tree(kernel, lab.store, lab.settings, lab.notice)
    extra = (compiler_package(tree, kernel.arch), *tree.packages)
    builder = builder_root("kernel", lab.store, lab.settings, lab.notice, suite=tree.suite, extra=extra)
    words = words_of(make_variables(kernel.arch, tree.compiler))
    command = ["make", "-C", tree.path, "M=/build/kmod", "C=2", f"CHECK={_SPARSE}", *words, "modules"]
    done = builder.run(command, work=work, deadline=_DEADLINE, mounts={**tree.mounts, _SPARSE: sparse})
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.status == 0, said[-2000:]
    assert said.count("  CHECK ") == len(list((work / "kmod").glob("[!.]*.c"))) - 1, "sparse saw every file of ours"
    return _COMPLAINT.findall(said)


def test_sparse_finds_nothing_in_the_module(lab: Lab, sparse: Path, tmp_path: Path) -> None:
    shutil.copytree(PROBES, tmp_path / "probes")
    assert complaints(lab, sparse, tmp_path / "probes") == []


def test_sparse_finds_users_memory_that_is_taken_for_the_kernels(lab: Lab, sparse: Path, tmp_path: Path) -> None:
    shutil.copytree(PROBES, tmp_path / "probes")
    with (tmp_path / "probes/kmod/main.c").open("a") as source:
        source.write("\nint tap_wrong(int __user *there);\nint tap_wrong(int __user *there)\n{\n\treturn *there;\n}\n")
    found = complaints(lab, sparse, tmp_path / "probes")
    assert len(found) == 1
    assert "main.c" in found[0]
    assert "dereference of noderef expression" in found[0]
