"""What a driver is made of beside a kernel module, built for real: eBPF objects, programs of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lab import arches
from lab.arches import Arch
from lab.drivers.build import build_driver
from lab.drivers.manifest import find_driver
from lab.errors import BuildError
from lab.matrix.provision import Lab
from tests.support.runs import DRIVERS

_EM_BPF = 247
MANIFEST = """
name = "tiny"
description = "a test"
[modes.core]
source = { folder = "src" }
build = "co-re"
object = "tiny.o"
load = []
check = []
unload = []
minimum_kernel = { amd64 = "5.8", arm64 = "5.8", riscv64 = "5.8" }
[modes.core.options.wrong]
defines = ["WRONG"]
[modes.core.consumer]
command = ["{program}", "{object}"]
adapter = "adapter.py:Tiny"
sentinel = ["openat"]
program = { folder = "src", sources = ["reader/*.c"], include = ["include"], libraries = ["z"], \
packages = ["libbpf-dev", "libelf-dev", "zlib1g-dev", "libzstd-dev"] }
"""
READER = """
#include <zlib.h>
#include "own.h"
int main(void) { printf("%d %s\\n", OWN, zlibVersion()); return 0; }
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    for name in ("src/reader", "src/include"):
        (tmp_path / name).mkdir(parents=True)
    program = (DRIVERS / "refused" / "src" / "refused.bpf.c").read_text()
    wrong = "#ifdef WRONG\n#error built wrong\n#endif\n"
    (tmp_path / "src" / "tiny.bpf.c").write_text(program + wrong)
    (tmp_path / "src" / "reader" / "main.c").write_text(READER)
    (tmp_path / "src" / "include" / "own.h").write_text("#include <stdio.h>\n#define OWN 7\n")
    (tmp_path / "driver.toml").write_text(MANIFEST)
    return tmp_path / "driver.toml"


def machine_of(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[18:20], "little")


@pytest.mark.parametrize("arch", arches.ARCHES, ids=lambda arch: arch.name)
def test_a_co_re_object_and_a_static_reader_are_built_for_each_architecture(lab: Lab, tiny: Path, arch: Arch) -> None:
    # Nothing is read of the kernel but its architecture: so none but the default one's is fetched.
    kernel = dataclasses.replace(lab.kernels.resolve("6.12", arches.AMD64).fetch(), arch=arch)
    built = build_driver(find_driver(f"{tiny}:core"), kernel, lab.store, lab.settings, lab.notice)
    assert machine_of(built.files["object"]) == _EM_BPF
    assert machine_of(built.files["program"]) == arch.elf_machine
    assert b"/lib/ld-linux" not in built.files["program"].read_bytes(), "it is static"


@pytest.mark.slow
def test_a_program_in_c_plus_plus_may_be_linked_to_the_guests_own_libraries(lab: Lab, tiny: Path) -> None:
    text = tiny.read_text().replace("reader/*.c", "reader/*.cpp").replace('libraries = ["z"]', "static = false")
    tiny.write_text(text.replace('"libbpf-dev",', '"libstdc++-14-dev",'))
    (tiny.parent / "src" / "reader" / "main.cpp").write_text('#include <iostream>\nint main() { std::cout << "me"; }\n')
    kernel = lab.kernels.resolve("6.12", arches.AMD64).fetch()
    built = build_driver(find_driver(f"{tiny}:core"), kernel, lab.store, lab.settings, lab.notice)
    program = built.files["program"].read_bytes()
    assert b"libstdc++.so.6" in program
    assert b"/lib64/ld-linux" in program


def test_an_option_reaches_the_compiler_whose_error_is_told(lab: Lab, tiny: Path) -> None:
    kernel = lab.kernels.resolve("6.12", arches.AMD64).fetch()
    with pytest.raises(BuildError, match=r"tiny\+wrong:core does not build for .*built wrong"):
        build_driver(find_driver(f"{tiny}+wrong:core"), kernel, lab.store, lab.settings, lab.notice)
