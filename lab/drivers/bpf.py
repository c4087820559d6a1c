"""eBPF objects: the legacy kind, compiled against a kernel's headers, and CO-RE's, one for every kernel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.arches import Arch, host
from lab.drivers.work import Work, make_variables, words_of
from lab.errors import BuildError
from lab.kernels.headers import BuildTree

# Compilers of either kind, by Debian's names that stand for a suite's own version.
COMPILERS = ("clang", "llvm")

# As <bpf/bpf_tracing.h> of libbpf asks for it.
_TARGET = {"amd64": "x86", "arm64": "arm64", "riscv64": "riscv"}
_CORE_FLAGS = ("-g", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter")
# For sources without a makefile: their one file, with the flags that the kernel's own headers are compiled with, by way
# of LLVM's intermediate form, because inline assembler in those headers is the guest's and no eBPF.
_KBUILD = """\
always-y := {object}
always := $(always-y)
$(obj)/{object}: $(src)/{source}
	$(CLANG) $(LINUXINCLUDE) $(KBUILD_CPPFLAGS) -D__KERNEL__ -D__BPF_TRACING__ {defines} \\
		-Wall -Wno-gnu-variable-sized-type-not-at-end -Wno-address-of-packed-member -Wno-tautological-compare \\
		-Wno-unknown-attributes -Wno-compare-distinct-pointer-types -Wno-pointer-sign -Wno-unused-value \\
		-Wno-microsoft-anon-tag -fms-extensions -fno-jump-tables -fno-stack-protector -fno-asynchronous-unwind-tables \\
		-O2 -g -emit-llvm -c $< -o $@.ll
	$(LLC) -march=bpf -mcpu=v2 -filetype=obj -o $@ $@.ll
"""


def build_legacy(work: Work, tree: BuildTree) -> None:
    """Leave the object in the work's folder: made by the sources' own makefile, or from their one *.bpf.c."""
    folder = work.place / work.sources.subfolder
    variables = make_variables(work.kernel.arch, tree.compiler) | {
        "KERNELDIR": tree.path,
        "CLANG": _clang(work.kernel.arch),
        "LLC": "llc",
    }
    if (folder / "Makefile").is_file() or (folder / "Kbuild").is_file():
        defines = {"KBUILD_EXTRA_CPPFLAGS": " ".join(work.driver.defines)} if work.driver.defines else {}
        command = ["make", "-C", work.inside, *words_of(variables | defines), *(work.driver.mode.make or ("all",))]
    else:
        source = _only_source(work, folder)
        text = _KBUILD.format(object=work.driver.mode.object, source=source.name, defines=" ".join(work.driver.defines))
        (folder / "Kbuild").write_text(text)
        command = ["make", "-C", tree.path, f"M={work.inside}", *words_of(variables)]
    _keep(work, work.compile(command, work.driver.mode.object))


def build_core(work: Work) -> None:
    """Leave the object in the work's folder, with type information and without the rest of its debug information."""
    source = _only_source(work, work.place / work.sources.subfolder)
    arch = work.kernel.arch
    includes = ["-I.", "-I/build", f"-I/usr/include/{host().triplet}"]
    words = ["-target", "bpf", "-mcpu=v3", f"-D__TARGET_ARCH_{_TARGET[arch.name]}", *_CORE_FLAGS, *work.driver.defines]
    command = ["env", "-C", work.inside, "clang", *words, *includes, "-c", source.name, "-o", work.driver.mode.object]
    _keep(work, work.compile(command, work.driver.mode.object))


def _keep(work: Work, built: Path) -> None:
    # LLVM has it since 7; without, as in Ubuntu 18.04, the object is larger, and that is all.
    if os.path.lexists(work.builder.root / "usr/bin/llvm-strip"):
        work.strip(["llvm-strip", "--strip-debug"], built)
    shutil.move(built, work.folder / built.name)


def _only_source(work: Work, folder: Path) -> Path:
    sources = sorted(folder.glob("*.bpf.c"))
    if len(sources) != 1:
        raise BuildError(
            f"{work.driver.name} is built from one *.bpf.c, and there are {len(sources)} in its sources",
            hint="correct `folder` or `subfolder` in driver.toml",
        )
    return sources[0]


def _clang(arch: Arch) -> str:
    """Headers of another architecture hold its inline assembler, whose constraints clang checks even unused."""
    return "clang" if arch == host() else f"clang --target={arch.triplet}"
