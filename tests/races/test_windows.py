"""Where a kernel has its moments is told from its symbols, and what it lacks is said."""

from __future__ import annotations

import pytest

from lab.arches import AMD64, ARCHES
from lab.debugging.symbols import NoSymbolError, Symbol, Symbols
from lab.races.subjects import SUBJECTS
from lab.races.windows import COPIES, USER_PC, copies, wrapper


def kernel(*names: str, module: str = "") -> Symbols:
    return Symbols(Symbol(0x1000 + 16 * number, name, module, "t") for number, name in enumerate(names))


@pytest.mark.parametrize(
    ("arch", "name"),
    [("amd64", "__x64_sys_openat"), ("arm64", "__arm64_sys_openat"), ("riscv64", "__riscv_sys_openat")],
)
def test_a_calls_own_function_is_its_wrapper(arch: str, name: str) -> None:
    found = next(one for one in ARCHES if one.name == arch)
    assert wrapper("openat", found, kernel(name)) == name


def test_a_32_bit_call_is_another_function_its_own_before_the_shared_one() -> None:
    assert wrapper("openat", AMD64, kernel("__ia32_sys_openat", "__ia32_compat_sys_openat"), compat=True) == (
        "__ia32_compat_sys_openat"
    )
    assert wrapper("openat", AMD64, kernel("__ia32_sys_openat"), compat=True) == "__ia32_sys_openat"


def test_a_kernel_without_the_call_says_so() -> None:
    with pytest.raises(NoSymbolError, match="no system call creat"):
        wrapper("creat", AMD64, kernel("__x64_sys_openat"))


def test_the_first_function_that_is_there_is_taken() -> None:
    assert list(copies("openat", kernel("do_filp_open"))) == ["do_filp_open"]
    assert list(copies("openat", kernel("do_filp_open", "do_file_open"))) == ["do_file_open"]
    assert set(copies("linkat", kernel("filename_lookup", "__filename_parentat"))) == {
        "filename_lookup",
        "__filename_parentat",
    }


def test_a_kernel_without_any_has_no_moment_after_the_copy() -> None:
    with pytest.raises(NoSymbolError, match="none of the functions"):
        copies("openat", kernel("vfs_open"))
    with pytest.raises(NoSymbolError):
        copies("openat", kernel("do_filp_open", module="theirs"))


def test_every_call_that_is_raced_has_a_place_after_its_copy() -> None:
    for subject in SUBJECTS.values():
        assert subject.call in COPIES, subject.name


def test_every_architecture_has_the_callers_program_counter() -> None:
    assert set(USER_PC) == {arch.name for arch in ARCHES}
