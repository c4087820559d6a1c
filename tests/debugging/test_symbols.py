"""Symbols as a guest tells them, which may be anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.arches import AMD64
from lab.debugging.names import names_elf
from lab.debugging.session import linked_address
from lab.debugging.symbols import NoSymbolError, parse_kallsyms, parse_sections
from lab.errors import LabError

KALLSYMS = b"""0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81001000 T do_sys_openat2
ffffffff81002000 t cleanup
ffffffff81003000 t cleanup
ffffffff81004000 t helper.isra.0
ffffffff81005000 T _etext
ffffffff82000000 D jiffies
ffffffffc0a00000 t probe\t[scap]
ffffffffc0a01000 t cleanup\t[scap]
nonsense
ffffffffc0a02000 t evil name\t[scap]
"""


def test_a_name_is_an_address_and_an_address_a_name() -> None:
    symbols = parse_kallsyms(KALLSYMS)
    assert symbols.address("do_sys_openat2") == 0xFFFFFFFF81001000
    assert symbols.address("scap:probe") == 0xFFFFFFFFC0A00000
    assert symbols.at(0xFFFFFFFF81001012) == "do_sys_openat2+0x12"
    assert symbols.at(0xFFFFFFFFC0A00000) == "probe [scap]"
    assert symbols.at(0x1000) == ""


def test_a_name_that_is_there_more_than_once_has_to_be_told_apart() -> None:
    symbols = parse_kallsyms(KALLSYMS)
    with pytest.raises(NoSymbolError, match="3 times in the guest: cleanup at 0xffffffff81002000"):
        symbols.address("cleanup")
    assert symbols.address("scap:cleanup") == 0xFFFFFFFFC0A01000


def test_a_function_that_is_not_there_by_itself_is_explained() -> None:
    symbols = parse_kallsyms(KALLSYMS)
    with pytest.raises(NoSymbolError, match="inlined into all its callers"):
        symbols.address("build_open_flags")
    with pytest.raises(NoSymbolError, match=r"made helper\.isra\.0 of helper"):
        symbols.address("helper")
    with pytest.raises(NoSymbolError, match=r"not in other, but probe \[scap\]"):
        symbols.address("other:probe")


def test_data_is_no_code_and_what_lies_between_is_neither() -> None:
    symbols = parse_kallsyms(KALLSYMS)
    assert symbols.is_code(0xFFFFFFFF81001001)
    assert not symbols.is_code(0xFFFFFFFF82000000)
    assert not symbols.is_code(0xFFFFFFFFB0000000)
    assert symbols.is_code(0xFFFFFFFFC0A00010)


def test_hidden_addresses_and_no_symbols_are_told() -> None:
    with pytest.raises(NoSymbolError, match="hides its symbols' addresses"):
        parse_kallsyms(b"0000000000000000 T _stext\n")
    with pytest.raises(NoSymbolError, match="tells no symbols"):
        parse_kallsyms(b"")


@given(st.binary(max_size=500))
def test_whatever_a_guest_says_is_symbols_or_none(data: bytes) -> None:
    try:
        assert len(parse_kallsyms(data))
    except NoSymbolError:
        assert parse_sections(data) == {}


def test_sections_are_read_by_module() -> None:
    text = b"/sys/module/scap/sections/.text:0xffffffffc0a00000\n/sys/module/scap/sections/../x:0x1\nelse\n"
    assert parse_sections(text) == {"scap": {".text": 0xFFFFFFFFC0A00000}}


def test_bare_symbols_are_an_elf_file_that_others_read(tmp_path: Path) -> None:
    path = tmp_path / "names.elf"
    path.write_bytes(names_elf(parse_kallsyms(KALLSYMS), AMD64))
    assert linked_address(path, "_stext") == 0xFFFFFFFF81000000
    assert linked_address(path, "probe") == 0xFFFFFFFFC0A00000
    with pytest.raises(LabError, match="has no symbol nothing"):
        linked_address(path, "nothing")
    said = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True)
    assert "ffffffff81001000     0 FUNC    GLOBAL DEFAULT    1 do_sys_openat2" in said.stdout
    assert said.stderr == ""
